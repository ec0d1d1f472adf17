"""azure-identity's ManagedIdentityCredential, synchronous and asynchronous, against a regional router.

The credential has no setting of ours: IMDS style through `AZURE_POD_IDENTITY_AUTHORITY_HOST`, App Service style through
`IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, as its own documentation says.
"""

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential

from services.identity.handlers import APP_SERVICE_SECRET
from tests.clients.client_bench import AsyncCounting, Bench, Counting

SCOPE = "https://management.azure.com/.default"
AUDIENCE = "https://management.azure.com"
QUICK = {"retry_backoff_factor": 0.02}


@pytest.fixture(params=["imds", "app_service"])
def style(request: pytest.FixtureRequest, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    point_at(bench, monkeypatch, request.param)
    return str(request.param)


@pytest.fixture
def imds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(bench, monkeypatch, "imds")


def point_at(bench: Bench, monkeypatch: pytest.MonkeyPatch, style: str) -> None:
    router = bench.url("router")
    if style == "imds":
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", router)
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{router}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", APP_SERVICE_SECRET)


@pytest.fixture(scope="module")
def identity(bench: Bench) -> Iterator[dict[str, str]]:
    """A user-assigned identity: its resource id and the ids that Azure gave it."""
    path = bench.group_path("Microsoft.ManagedIdentity/userAssignedIdentities/caller")
    url = bench.url("router") + path + "?api-version=2024-11-30"
    made = requests.put(url, json={"location": "eastus"}, timeout=10).json()
    yield {"id": path, **made["properties"]}
    requests.delete(url, timeout=10)


def claims_of(bench: Bench, token: str) -> dict[str, Any]:
    """The claims, verified against the published keys."""
    key = jwt.PyJWKClient(bench.url("router") + "/.well-known/jwks.json").get_signing_key_from_jwt(token)
    return dict(jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE))


def check(bench: Bench, token: AccessToken) -> dict[str, Any]:
    assert 80_000 < token.expires_on - time.time() <= 86_400
    return claims_of(bench, token.token)


def test_a_system_assigned_token_verifies_and_the_second_comes_from_the_cache(bench: Bench, style: str) -> None:
    transport = Counting()
    with ManagedIdentityCredential(transport=transport) as credential:
        first, second = credential.get_token(SCOPE), credential.get_token(SCOPE)
    assert (second.token, len(transport.sent)) == (first.token, 1)
    claims = check(bench, first)
    assert claims["iss"].startswith("https://sts.aftershock.invalid/")
    assert claims["oid"] == claims["sub"]


@pytest.mark.parametrize("by", ["client_id", "resource_id", "object_id"])
def test_a_user_assigned_identity_by_any_of_its_ids(
    bench: Bench, style: str, identity: dict[str, str], by: str
) -> None:
    value = {"client_id": identity["clientId"], "resource_id": identity["id"], "object_id": identity["principalId"]}[by]
    options: dict[str, Any] = {"client_id": value} if by == "client_id" else {"identity_config": {by: value}}
    with ManagedIdentityCredential(**options) as credential:
        claims = check(bench, credential.get_token(SCOPE))
    assert (claims["appid"], claims["oid"]) == (identity["clientId"], identity["principalId"])
    assert claims["xms_mirid"] == identity["id"]


def test_an_unknown_identity_is_an_error_that_is_not_retried(bench: Bench, imds: None) -> None:
    transport = Counting()
    with (
        ManagedIdentityCredential(client_id="00000000-0000-0000-0000-000000000000", transport=transport) as credential,
        pytest.raises((CredentialUnavailableError, ClientAuthenticationError), match="Identity not found"),
    ):
        credential.get_token(SCOPE)
    assert len(transport.sent) == 1


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
def test_transient_errors_are_retried(bench: Bench, imds: None, status: int) -> None:
    transport = Counting()
    with (
        bench.fault("router", "fail_first", count=2, status=status),
        ManagedIdentityCredential(transport=transport, **QUICK) as credential,
    ):
        check(bench, credential.get_token(SCOPE))
    assert len(transport.sent) == 3
    assert len({request.headers["x-ms-client-request-id"] for request in transport.sent}) == 1


def test_app_service_errors_are_retried_with_the_clients_own_delays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(bench, monkeypatch, "app_service")
    transport = Counting()
    with (
        bench.fault("router", "fail_first", count=2, status=503),
        ManagedIdentityCredential(transport=transport) as credential,
    ):
        check(bench, credential.get_token(SCOPE))
    assert len(transport.sent) == 3
    assert 1.5 <= sum(transport.waits_s) < 6.0


def test_retry_after_of_a_429_is_honoured(bench: Bench, imds: None) -> None:
    transport = Counting(hurry=1.0)
    with bench.fault("router", "throttle", rate_per_s=1.0):
        requests.get(bench.url("router") + "/metadata/identity/oauth2/token", timeout=5)  # takes the one token
        with ManagedIdentityCredential(transport=transport, **QUICK) as credential:
            token = credential.get_token(SCOPE)
    check(bench, token)
    assert len(transport.sent) == 2
    assert transport.waits_s == [1.0], "not the credential's own delay of 0.02 s"


def test_retry_after_of_a_503_is_honoured(bench: Bench, imds: None) -> None:
    """The router sheds everything while drained, and says when to come back."""
    transport = Counting()
    with (
        bench.settings("router", retry_after_s=1.0),
        bench.drained(),
        ManagedIdentityCredential(transport=transport, retry_total=1, **QUICK) as credential,
        pytest.raises((CredentialUnavailableError, ClientAuthenticationError)),
    ):
        credential.get_token(SCOPE)
    assert len(transport.sent) == 2
    assert transport.waits_s == [1.0]


def test_exhausted_retries_are_an_error_and_a_pause_without_requests(bench: Bench, imds: None) -> None:
    transport = Counting()
    with (
        bench.fault("router", "http_error", status=503),
        ManagedIdentityCredential(transport=transport, **QUICK) as credential,
    ):
        for _ in range(2):
            with pytest.raises(CredentialUnavailableError):
                credential.get_token(SCOPE)
            sent = len(transport.sent)
            assert sent == 6, "five retries; the second call meets the client's own negative cache"


# --- asynchronous ----------------------------------------------------------------------------------------


async def test_aio_token_and_cache(bench: Bench, style: str) -> None:
    transport = AsyncCounting()
    async with AsyncManagedIdentityCredential(transport=transport) as credential:
        first, second = await credential.get_token(SCOPE), await credential.get_token(SCOPE)
    assert (second.token, len(transport.sent)) == (first.token, 1)
    check(bench, first)


@pytest.mark.parametrize("by", ["client_id", "resource_id"])
async def test_aio_user_assigned(bench: Bench, style: str, identity: dict[str, str], by: str) -> None:
    # this client passes the name on as it is, and the two endpoints call it differently
    config = {"msi_res_id" if style == "imds" else "mi_res_id": identity["id"]}
    options: dict[str, Any] = {"client_id": identity["clientId"]} if by == "client_id" else {"identity_config": config}
    async with AsyncManagedIdentityCredential(**options) as credential:
        claims = check(bench, await credential.get_token(SCOPE))
    assert claims["appid"] == identity["clientId"]


@pytest.mark.parametrize("status", [404, 429, 503])
async def test_aio_transient_errors_are_retried(bench: Bench, imds: None, status: int) -> None:
    transport = AsyncCounting()
    with bench.fault("router", "fail_first", count=2, status=status):
        async with AsyncManagedIdentityCredential(transport=transport, **QUICK) as credential:
            check(bench, await credential.get_token(SCOPE))
    assert len(transport.sent) == 3


async def test_aio_exhausted_retries(bench: Bench, imds: None) -> None:
    transport = AsyncCounting()
    with bench.fault("router", "http_error", status=503):
        async with AsyncManagedIdentityCredential(transport=transport, **QUICK) as credential:
            with pytest.raises((CredentialUnavailableError, ClientAuthenticationError)):
                await credential.get_token(SCOPE)
    assert len(transport.sent) == 6


# --- what the clients never send -------------------------------------------------------------------------


def test_the_javascript_spelling_with_a_trailing_slash(bench: Bench) -> None:
    url = f"{bench.url('router')}/metadata/identity/oauth2/token/?api-version=2018-02-01&resource={AUDIENCE}"
    answer = requests.get(url, headers={"Metadata": "true"}, timeout=5)
    assert answer.status_code == 200
    assert claims_of(bench, answer.json()["access_token"])


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r", {}, 400),
        ("/metadata/identity/oauth2/token?resource=r", {"Metadata": "true"}, 400),
        ("/metadata/identity/oauth2/token?api-version=2018-02-01", {"Metadata": "true"}, 400),
        ("/msi/token?api-version=2019-08-01&resource=r", {"X-IDENTITY-HEADER": "wrong"}, 401),
    ],
)
def test_a_bad_request_is_refused(bench: Bench, path: str, headers: dict[str, str], status: int) -> None:
    answer = requests.get(bench.url("router") + path, headers=headers, timeout=5)
    assert answer.status_code == status
    assert "error" in answer.json() or "message" in answer.json()
