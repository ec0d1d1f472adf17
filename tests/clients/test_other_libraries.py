"""Libraries that are not Azure's clients: `obstore` (the Rust crate `object_store`) and `msal` by itself."""

from collections.abc import Iterator
from typing import Any

import msal
import obstore
import pytest
import requests
from obstore.store import AzureStore

from tests.clients.client_bench import Bench

ACCOUNT = "otherlibraries"
CONTAINER = "things"
NAMES = [f"dir/{number:03}" for number in range(12)] + ["other/x", "top"]
RESOURCE = "https://management.azure.com"


@pytest.fixture(scope="module")
def store(bench: Bench) -> Iterator[AzureStore]:
    bench.admin("PUT", ACCOUNT, json={"public": True})
    bench.admin("PUT", f"{ACCOUNT}/{CONTAINER}", json={"access": "Container"})
    for name in NAMES:
        bench.admin("PUT", f"{ACCOUNT}/{CONTAINER}/{name}", data=name.encode())
    yield AzureStore(
        container_name=CONTAINER,
        account_name=ACCOUNT,
        endpoint=f"{bench.url('blobstore')}/{ACCOUNT}",
        skip_signature=True,
        client_options={"allow_http": True},
    )
    bench.admin("DELETE", ACCOUNT)


def listed(store: AzureStore, **options: Any) -> list[str]:
    return sorted(found["path"] for found in obstore.list(store, **options).collect())


def test_a_blob_is_read_whole_and_in_ranges(store: AzureStore) -> None:
    assert bytes(obstore.get(store, "dir/003").bytes()) == b"dir/003"
    assert bytes(obstore.get_range(store, "dir/003", start=4, length=3)) == b"003"
    assert bytes(obstore.get(store, "dir/003", options={"range": {"offset": 4}}).bytes()) == b"003"
    assert obstore.head(store, "dir/003")["size"] == 7


def test_a_listing_begins_after_an_offset(store: AzureStore) -> None:
    """The library asks for `startFrom`, which would list the name itself as well, and drops that one."""
    assert listed(store) == NAMES
    assert listed(store, offset="dir/009") == NAMES[10:]
    assert listed(store, prefix="dir", offset="dir/009") == NAMES[10:12]
    assert listed(store, offset="zzz") == []


def test_a_level_of_a_listing(store: AzureStore) -> None:
    level = obstore.list_with_delimiter(store)
    assert sorted(level["common_prefixes"]) == ["dir", "other"]
    assert [found["path"] for found in level["objects"]] == ["top"]


def test_what_is_missing_and_what_is_locked(store: AzureStore, bench: Bench) -> None:
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "nowhere")
    with bench.outage(ACCOUNT), pytest.raises(obstore.exceptions.AlreadyExistsError, match="PublicAccessNotPermitted"):
        obstore.get(store, "top")
    assert bytes(obstore.get(store, "top").bytes()) == b"top"


def client(bench: Bench, monkeypatch: pytest.MonkeyPatch, identity: Any) -> msal.ManagedIdentityClient:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", bench.url("router"))
    return msal.ManagedIdentityClient(identity, http_client=requests.Session())


def test_msal_gets_a_token_and_keeps_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = client(bench, monkeypatch, msal.SystemAssignedManagedIdentity())
    first, second = (asking.acquire_token_for_client(resource=RESOURCE) for _ in range(2))
    assert (first["token_source"], second["token_source"]) == ("identity_provider", "cache")
    assert first["access_token"] == second["access_token"]
    assert first["token_type"] == "Bearer"


def test_msal_says_what_a_refusal_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = msal.UserAssignedManagedIdentity(client_id="00000000-0000-0000-0000-000000000001")
    refused = client(bench, monkeypatch, unknown).acquire_token_for_client(resource=RESOURCE)
    assert refused["error"] == "invalid_request"
    assert "Identity not found" in refused["error_description"]
