"""Bearer tokens: verified against the router's key set, on the service's clock."""

import asyncio
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from compose.virtual.world import VirtualWorld
from services.blobstore.tokens import JwksVerifier, KeysUnavailable, TokenRefused
from services.chassis.http import HttpReply
from services.identity.tokens import Issuer
from tests.unit.blobstore.blobstore_region import IDENTITY, PACKAGE, Region

SECRET = "/vmextmieastus/private/b"


@pytest.fixture
async def private(region: Region) -> Region:
    await region.call("PUT", "/admin/accounts/vmextmieastus/private", json={})
    await region.blob("vmextmieastus/private/b", b"secret")
    return region


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_bearer_reads_what_is_private_and_what_is_locked(private: Region) -> None:
    assert (await private.get(SECRET)).code == "ResourceNotFound"
    assert (await private.call("GET", SECRET, bearer=private.token())).body == b"secret"
    await private.switch("vmextmieastus", False)
    await asyncio.sleep(1.0)
    assert (await private.get(SECRET)).code == "PublicAccessNotPermitted"
    assert (await private.call("GET", SECRET, bearer=private.token())).body == b"secret"


async def test_a_bearer_is_told_what_is_missing(private: Region) -> None:
    token = private.token()
    assert (await private.call("GET", "/vmextmieastus/nowhere/b", bearer=token)).code == "ContainerNotFound"
    assert (await private.call("GET", "/vmextmieastus/private/c", bearer=token)).code == "BlobNotFound"
    assert (await private.call("GET", "/nosuchaccount/private/c", bearer=token)).code == "AccountNotFound"


@pytest.mark.parametrize("audience", ["https://storage.azure.com/", "https://vmextmieastus.blob.core.windows.net"])
async def test_other_spellings_of_the_audience(private: Region, audience: str) -> None:
    assert (await private.call("GET", SECRET, bearer=private.token(audience))).status == 200


@pytest.mark.parametrize(
    ("audience", "lifetime_s", "detail"),
    [
        ("https://management.azure.com", 3600.0, "Audience validation failed."),
        ("https://other.blob.core.windows.net", 3600.0, "Audience validation failed."),
        ("https://storage.azure.com", -1.0, "Lifetime validation failed. The token is expired."),
    ],
)
async def test_a_token_for_another_or_out_of_date(
    private: Region, audience: str, lifetime_s: float, detail: str
) -> None:
    answer = await private.call("GET", SECRET, bearer=private.token(audience, lifetime_s))
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationInfo")
    assert f"<AuthenticationErrorDetail>{detail}".encode() in answer.body
    assert answer.headers["www-authenticate"].startswith('Bearer authorization_uri="http://router-eastus:8080"')


async def test_a_token_expires_by_the_services_clock_even_when_it_was_good_before(private: Region) -> None:
    token = private.token(lifetime_s=10.0)
    for at, status in ((0.0, 200), (9.999, 200), (10.0, 401)):
        await asyncio.sleep(at - private.clock.now())
        assert (await private.call("GET", SECRET, bearer=token)).status == status
    assert private.jwks_fetches == 1


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_malformed_token_is_refused_without_asking_for_keys(private: Region, token: str) -> None:
    answer = await private.call("GET", SECRET, bearer=token)
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationInfo")


async def test_a_forged_token_is_refused(private: Region) -> None:
    good = private.token()
    for forged in (good[:-6] + "AAAAAA", Issuer("another key", "i").issue(IDENTITY, "a", 0.0, 1.0, "x")):
        answer = await private.call("GET", SECRET, bearer=forged)
        assert (answer.status, answer.code) == (401, "InvalidAuthenticationInfo")
        assert b"Signature validation failed." in answer.body


@pytest.mark.parametrize("value", ["SharedKey account:signature", "Basic YTpi", "Bearer"])
async def test_other_credentials(private: Region, value: str) -> None:
    answer = await private.get(SECRET, Authorization=value)
    assert (answer.status, answer.code) in [(403, "AuthenticationFailed"), (401, "InvalidAuthenticationInfo")]


async def test_keys_outlive_the_identity_service(private: Region) -> None:
    assert (await private.call("GET", SECRET, bearer=private.token())).status == 200
    private.jwks_status = 503
    await asyncio.sleep(1000.0)
    assert (await private.call("GET", SECRET, bearer=private.token())).status == 200
    assert private.jwks_fetches == 2


async def test_without_any_keys_the_answer_is_503_and_asking_is_paced(world: VirtualWorld) -> None:
    region = await Region(world).start()
    await region.serve_keys()
    region.jwks_status = 500
    for _ in range(3):
        answer = await region.call("GET", PACKAGE, bearer=region.token())
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "ServerBusy", "1")
    assert region.jwks_fetches == 1
    await asyncio.sleep(1.0)
    region.jwks_status = 200
    assert (await region.call("GET", PACKAGE, bearer=region.token())).status == 200


async def test_many_first_readers_fetch_the_keys_once(private: Region) -> None:
    tokens = [private.token(lifetime_s=100.0 + number) for number in range(20)]
    answers = await asyncio.gather(*(private.call("GET", SECRET, bearer=token) for token in tokens))
    assert {answer.status for answer in answers} == {200}
    assert private.jwks_fetches == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(private: Region) -> None:
    await private.call("GET", SECRET, bearer=private.token())
    private.issuer = Issuer("the next key", "https://sts.invalid/")
    assert (await private.call("GET", SECRET, bearer=private.token())).status == 401  # paced: too soon to ask again
    await asyncio.sleep(1.0)
    assert (await private.call("GET", SECRET, bearer=private.token())).status == 200
    assert private.jwks_fetches == 2


async def test_rsa_keys_verify_too_and_other_algorithms_do_not(region: Region) -> None:
    key = generate_private_key(65537, 2048)
    public = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "rsa", "alg": "RS256"}
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "hmac", "alg": "HS256"}
    reply = HttpReply(200, {}, json.dumps({"keys": [public, secret]}).encode())

    async def fetch() -> HttpReply:
        return reply

    verifier = JwksVerifier(fetch, region.clock, lifetime_s=300.0, pause_s=1.0)
    claims = {"exp": region.clock.epoch() + 60, "aud": "https://storage.azure.com"}
    token = jwt.encode(claims, key, "RS256", headers={"kid": "rsa"})
    assert (await verifier.verify(token, ("https://storage.azure.com",)))["exp"] == claims["exp"]
    weak = jwt.encode(claims, "secret-secret-secret-secret-secret", "HS256", headers={"kid": "hmac"})
    with pytest.raises(TokenRefused, match="key is unknown"):
        await verifier.verify(weak, ("https://storage.azure.com",))


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "x"}]}'])
async def test_an_invalid_key_set_counts_as_no_key_set(region: Region, body: bytes) -> None:
    async def fetch() -> HttpReply:
        return HttpReply(200, {}, body)

    verifier = JwksVerifier(fetch, region.clock, lifetime_s=300.0, pause_s=1.0)
    with pytest.raises(KeysUnavailable):
        await verifier.verify(region.token(), ("https://storage.azure.com",))


@pytest.mark.parametrize(
    ("claims", "detail"),
    [({}, "no expiration"), ({"exp": "soon"}, "no expiration"), ({"exp": 9e9, "nbf": 8e9}, "not yet valid")],
)
async def test_claims_that_do_not_bound_a_lifetime(region: Region, claims: dict[str, object], detail: str) -> None:
    key = generate_private_key(65537, 2048)
    public = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "rsa", "alg": "RS256"}

    async def fetch() -> HttpReply:
        return HttpReply(200, {}, json.dumps({"keys": [public]}).encode())

    verifier = JwksVerifier(fetch, region.clock, lifetime_s=300.0, pause_s=1.0)
    token = jwt.encode({"aud": "https://storage.azure.com", **claims}, key, "RS256", headers={"kid": "rsa"})
    with pytest.raises(TokenRefused, match=detail):
        await verifier.verify(token, ("https://storage.azure.com",))
