"""Authorisation comes before everything else: who may not read learns nothing from a request that is odd besides.

Each operation is tried with each oddity, for an account that is locked and for a container that is private.
"""

import pytest

from tests.unit.blobstore.blobstore_region import Region

LOCKED, PRIVATE = (409, "PublicAccessNotPermitted"), (404, "ResourceNotFound")
NEEDS_A_TOKEN = (401, "NoAuthenticationInformation")
BLOB, CONTAINER = "/{account}/{container}/{blob}", "/{account}/{container}"
READS = [
    ("GET", BLOB, ""),
    ("HEAD", BLOB, ""),
    ("GET", CONTAINER, "restype=container"),
    ("HEAD", CONTAINER, "restype=container"),
    ("GET", CONTAINER, "restype=container&comp=list"),
    ("GET", CONTAINER, ""),
]
WRITES = [
    ("PUT", BLOB, ""),
    ("DELETE", BLOB, ""),
    ("PUT", CONTAINER, "restype=container"),
    ("DELETE", CONTAINER, "restype=container"),
    ("GET", "/{account}", "comp=list"),
]
ODDITIES: list[tuple[str, dict[str, str]]] = [
    ("", {}),
    ("snapshot=2026-02-02T00:00:00.0000000Z", {}),
    ("versionid=2026-02-02T00:00:00.0000000Z", {}),
    ("comp=tags", {}),
    ("comp=acl", {}),
    ("comp=blocklist", {}),
    ("comp=nonsense", {}),
    ("restype=account", {}),
    ("maxresults=0", {}),
    ("maxresults=many", {}),
    ("include=everything", {}),
    ("startFrom=%00", {}),
    ("", {"x-ms-version": "yesterday"}),
    ("", {"Range": "bytes=999999999-"}),
    ("", {"x-ms-range": "bytes=x"}),
    ("", {"x-ms-range-get-content-md5": "true"}),
    ("", {"If-Match": '"0x1"'}),
    ("", {"If-None-Match": "*"}),
    ("", {"If-Modified-Since": "not a date"}),
    ("", {"x-ms-blob-type": "PageBlob"}),
    ("", {"Content-MD5": "x"}),
    ("", {"x-ms-blob-public-access": "everybody"}),
]


async def ask(
    region: Region, operation: tuple[str, str, str], names: dict[str, str], query: str, headers: dict[str, str]
) -> tuple[int, str]:
    method, path, own = operation
    answer = await region.call(
        method, f"{path.format(**names)}?{'&'.join(filter(None, [own, query]))}", headers=headers
    )
    return answer.status, answer.code


@pytest.fixture
async def guarded(region: Region) -> Region:
    await region.account("locked", public=False, access="Container")
    await region.account("open", public=True, access="None")
    for account in ("locked", "open"):
        await region.blob(f"{account}/packages/there", b"secret")
    return region


async def test_a_locked_account_reveals_nothing_else(guarded: Region) -> None:
    for query, headers in ODDITIES:
        for container, blob in (("packages", "there"), ("packages", "missing"), ("missing", "missing")):
            names = {"account": "locked", "container": container, "blob": blob}
            for operation in READS + WRITES:
                assert await ask(guarded, operation, names, query, headers) == LOCKED, (operation, query, headers)


async def test_a_private_container_is_answered_like_a_missing_one(guarded: Region) -> None:
    for query, headers in ODDITIES:
        for container, blob in (("packages", "there"), ("packages", "missing"), ("missing", "missing")):
            names = {"account": "open", "container": container, "blob": blob}
            for operation in READS + WRITES:
                expected = PRIVATE if operation in READS else NEEDS_A_TOKEN
                assert await ask(guarded, operation, names, query, headers) == expected, (operation, query, headers)


async def test_a_bad_token_is_refused_before_anything_is_looked_at(guarded: Region) -> None:
    for query, headers in ODDITIES:
        names = {"account": "open", "container": "packages", "blob": "there"}
        for operation in READS + WRITES:
            found = await ask(guarded, operation, names, query, {**headers, "Authorization": "Bearer x"})
            assert found == (401, "InvalidAuthenticationInfo"), (operation, query, headers)


async def test_a_signature_is_refused_before_anything_is_looked_at(guarded: Region) -> None:
    for query, headers in ODDITIES:
        for account in ("locked", "open"):
            names = {"account": account, "container": "packages", "blob": "there"}
            for operation in READS + WRITES:
                found = await ask(guarded, operation, names, f"sv=2021&sig=x&{query}", headers)
                assert found == (403, "AuthenticationFailed"), (operation, query, headers)
