"""Anonymous reads over both transports: headers, ranges, conditions, errors, time, counts."""

import asyncio
import json
from random import Random

import pytest

from compose.virtual.world import EPOCH_S, VirtualWorld
from services.blobstore import packages
from tests.unit.blobstore.blobstore_region import PACKAGE, Region, md5

BOTH = pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
START = "Mon, 02 Feb 2026 18:03:00 GMT"
LOCKED = "Public access is not permitted on this storage account."


@BOTH
async def test_a_package_is_read_with_azures_headers(region: Region) -> None:
    answer = await region.get(PACKAGE, x_ms_version="2026-10-06", x_ms_client_request_id="mine")
    assert (answer.status, answer.reason) == (200, "OK")
    assert answer.body == packages.build("GitHub.Actions", "LargerRunner", "1.0", 16384)
    request_id, etag = answer.headers.pop("x-ms-request-id"), answer.headers.pop("etag")
    assert len(request_id) == 36
    assert etag.startswith('"0x8D')
    assert etag.endswith('"')
    assert answer.headers == {
        "content-type": "application/zip",
        "content-length": "16384",
        "content-md5": md5(answer.body),
        "last-modified": START,
        "accept-ranges": "bytes",
        "server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0",
        "date": START,
        "x-ms-creation-time": START,
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
        "x-ms-version": "2026-10-06",
        "x-ms-client-request-id": "mine",
    }


@BOTH
async def test_head_gives_the_properties_and_no_body(region: Region) -> None:
    whole, head = await region.get(PACKAGE), await region.call("HEAD", PACKAGE)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["x-ms-access-tier"] == "Hot"
    for name in ("content-length", "content-md5", "etag", "last-modified", "content-type", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


@BOTH
async def test_a_range_is_partial_content(region: Region) -> None:
    whole = await region.get(PACKAGE)
    part = await region.get(PACKAGE, x_ms_range="bytes=100-199", x_ms_range_get_content_md5="true")
    assert (part.status, part.body) == (206, whole.body[100:200])
    assert part.headers["content-range"] == "bytes 100-199/16384"
    assert part.headers["content-length"] == "100"
    assert part.headers["x-ms-blob-content-md5"] == md5(whole.body)
    assert part.headers["content-md5"] == md5(part.body)
    assert "content-md5" not in (await region.get(PACKAGE, Range="bytes=0-0")).headers


async def test_the_chunk_the_sdk_asks_for_first_covers_the_whole_blob(region: Region) -> None:
    answer = await region.get(PACKAGE, x_ms_range="bytes=0-33554431")
    assert (answer.status, answer.headers["content-range"], len(answer.body)) == (206, "bytes 0-16383/16384", 16384)


@BOTH
async def test_a_reader_without_a_version_gets_the_whole_for_a_range_without_an_end(region: Region) -> None:
    answer = await region.get(PACKAGE, Range="bytes=5-")
    assert (answer.status, len(answer.body), answer.headers["x-ms-version"]) == (200, 16384, "2009-09-19")
    newer = await region.get(PACKAGE, Range="bytes=5-", x_ms_version="2011-08-18")
    assert (newer.status, newer.headers["content-range"]) == (206, "bytes 5-16383/16384")


@BOTH
async def test_a_range_past_the_end_is_416_with_the_size(region: Region) -> None:
    answer = await region.get(PACKAGE, Range="bytes=16384-", x_ms_version="2021-12-02")
    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert answer.headers["content-range"] == "bytes */16384"


async def test_an_empty_blob_is_read_whole_but_not_in_ranges(region: Region) -> None:
    await region.blob("vmextmieastus/packages/empty", b"")
    path = "/vmextmieastus/packages/empty"
    whole, head, part = (
        await region.get(path),
        await region.call("HEAD", path),
        await region.get(path, Range="bytes=0-", x_ms_version="2021-12-02"),
    )
    assert (whole.status, whole.body, whole.headers["content-length"]) == (200, b"", "0")
    assert whole.headers["content-md5"] == head.headers["content-md5"] == md5(b"")
    assert (part.status, part.headers["content-range"]) == (416, "bytes */0")


@BOTH
async def test_conditions_give_304_without_and_412_with_a_body(region: Region) -> None:
    etag = (await region.get(PACKAGE)).headers["etag"]
    unchanged = await region.get(PACKAGE, If_None_Match=etag)
    assert (unchanged.status, unchanged.code, unchanged.body) == (304, "ConditionNotMet", b"")
    changed = await region.get(PACKAGE, If_Match='"0x1"')
    assert (changed.status, changed.code) == (412, "ConditionNotMet")
    assert b"<Code>ConditionNotMet</Code>" in changed.body
    assert (await region.get(PACKAGE, If_Modified_Since=START)).status == 304
    assert (await region.get(PACKAGE, If_Match=etag)).status == 200


async def test_a_new_upload_has_a_new_etag_within_one_second(region: Region) -> None:
    first = await region.blob("vmextmieastus/packages/x", b"1")
    second = await region.blob("vmextmieastus/packages/x", b"2")
    assert first.json()["etag"] != second.json()["etag"]
    stale = await region.get("/vmextmieastus/packages/x", If_Match=first.json()["etag"])
    assert stale.status == 412


# --- errors ------------------------------------------------------------------------------------------


@BOTH
async def test_an_error_is_xml_with_the_sentence_as_reason_phrase(region: Region) -> None:
    answer = await region.get("/vmextmieastus/packages/nope")
    assert (answer.status, answer.reason) == (404, "The specified blob does not exist.")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code><Message>'
        f"The specified blob does not exist.\nRequestId:{answer.headers['x-ms-request-id']}\n"
        "Time:2026-02-02T18:03:00.0000000Z</Message></Error>"
    )


@BOTH
async def test_an_error_to_head_has_no_body(region: Region) -> None:
    answer = await region.call("HEAD", "/vmextmieastus/packages/nope")
    assert (answer.status, answer.code, answer.body) == (404, "BlobNotFound", b"")


@BOTH
async def test_a_locked_account_answers_409_whatever_is_asked_for(region: Region) -> None:
    await region.account("locked", public=False, access="Container")
    for path in ("packages/x", "packages?restype=container&comp=list", "nowhere/x", "packages?restype=container"):
        answer = await region.get(f"/locked/{path}")
        assert (answer.status, answer.reason, answer.code) == (409, LOCKED, "PublicAccessNotPermitted")
        assert f"<Message>{LOCKED}\nRequestId:".encode() in answer.body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nosuchaccount/c/b", 404, "AccountNotFound"),
        ("/vmextmieastus/nowhere/b", 404, "ResourceNotFound"),
        ("/vmextmieastus/private/b", 404, "ResourceNotFound"),
        ("/vmextmieastus/private?restype=container", 404, "ResourceNotFound"),
        ("/vmextmieastus/packages?restype=container&comp=list", 404, "ResourceNotFound"),  # level Blob
        ("/vmextmieastus/packages/nope", 404, "BlobNotFound"),
        ("/vmextmieastus/packages", 404, "ResourceNotFound"),  # a blob of $root
        ("/vmextmieastus", 401, "NoAuthenticationInformation"),
        ("/vmextmieastus/?comp=list", 401, "NoAuthenticationInformation"),
        ("/", 400, "InvalidUri"),
        (f"{PACKAGE}?comp=tags", 400, "UnsupportedQueryParameter"),
        (f"{PACKAGE}?snapshot=2026-02-02T00:00:00.0000000Z", 404, "BlobNotFound"),
        (f"{PACKAGE}?sv=2021&sig=x", 403, "AuthenticationFailed"),
    ],
)
async def test_what_cannot_be_read_anonymously(region: Region, path: str, status: int, code: str) -> None:
    await region.call("PUT", "/admin/accounts/vmextmieastus/private", json={})
    await region.blob("vmextmieastus/private/b", b"secret")
    answer = await region.get(path)
    assert (answer.status, answer.code) == (status, code)


async def test_a_version_that_is_no_date_is_refused(region: Region) -> None:
    answer = await region.get(PACKAGE, x_ms_version="latest")
    assert (answer.status, answer.code) == (400, "InvalidHeaderValue")
    assert b"<HeaderName>x-ms-version</HeaderName><HeaderValue>latest</HeaderValue>" in answer.body


async def test_a_verb_without_meaning_gets_405_in_azures_dialect(region: Region) -> None:
    answer = await region.call("POST", PACKAGE)
    assert (answer.status, answer.code) == (405, "UnsupportedHttpVerb")
    assert answer.headers["allow"] == "DELETE,GET,HEAD,PUT"


async def test_operator_paths_are_not_accounts(region: Region) -> None:
    assert (await region.call("DELETE", "/healthz")).json()["error"]["code"] == "MethodNotAllowed"
    assert (await region.get("/admin/nothing")).status == 404
    assert (await region.get("/readyz")).json()["status"] == "ready"


async def test_blob_names_may_hold_anything_a_path_can_carry(region: Region) -> None:
    await region.blob("vmextmieastus/packages/sp%20ace+%C3%A9%25/deep%2Fer", b"odd")
    for path in ("sp%20ace+%C3%A9%25/deep/er", "sp%20ace+%C3%A9%25%2Fdeep%2Fer"):
        assert (await region.get(f"/vmextmieastus/packages/{path}")).body == b"odd"


# --- time, counts, repeatability ---------------------------------------------------------------------


@BOTH
async def test_a_read_takes_its_service_time_half_fixed_half_exponential(world: VirtualWorld) -> None:
    region = await Region(world, {"service_time_s": 0.5}).start()
    draws = Random("1/blobstore-eastus/service-time")
    expected = 0.0
    for path in (PACKAGE, "/vmextmieastus/packages/nope", PACKAGE):
        expected += 0.25 + draws.expovariate(1.0) * 0.25
        assert (await region.get(path)).at == expected


async def test_reads_do_not_queue(world: VirtualWorld) -> None:
    region = await Region(world, {"service_time_s": 2.0}).start()
    answers = await asyncio.gather(*(region.get(PACKAGE) for _ in range(50)))
    assert max(answer.at for answer in answers) < 10.0


@BOTH
async def test_with_a_limit_reads_are_served_in_turn_and_too_many_are_refused_at_once(world: VirtualWorld) -> None:
    region = await Region(world, {"service_time_s": 2.0, "reads_at_once": 2, "reads_waiting_max": 2}).start()
    draws = Random("1/blobstore-eastus/service-time")
    took = [1.0 + draws.expovariate(1.0) for _ in range(4)]

    answers = await asyncio.gather(*(region.get(PACKAGE) for _ in range(6)))

    refused = [(answer.at, answer.status, answer.code) for answer in answers if answer.status != 200]
    assert refused == [(0.0, 503, "ServerBusy")] * 2
    first, second = sorted(took[:2])
    ends = sorted([first, second, first + took[2], min(second, first + took[2]) + took[3]])
    assert sorted(answer.at for answer in answers if answer.status == 200) == ends


async def test_a_read_whose_reader_has_left_is_served_all_the_same(world: VirtualWorld) -> None:
    region = await Region(world, {"service_time_s": 2.0, "reads_at_once": 1}).start()
    draws = Random("1/blobstore-eastus/service-time")
    took = [1.0 + draws.expovariate(1.0) for _ in range(3)]
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await region.get_within(PACKAGE, 0.25)
    assert (await region.get(PACKAGE)).at == sum(took)
    assert region.metric("blobstore_requests_total", code="200") == 3


async def test_a_removed_limit_delays_no_read(region: Region) -> None:
    await region.env.store.set("overlay", '{"blobstore": {"service_time_s": 8.0, "reads_at_once": 1}}')
    await region.env.live.reload()
    waiting = [asyncio.create_task(region.get(PACKAGE)) for _ in range(3)]
    await asyncio.sleep(0.0)
    await region.env.store.set("overlay", '{"blobstore": {"service_time_s": 0.0}}')
    await region.env.live.reload()
    assert (await region.get(PACKAGE)).at == 0.0
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 3


async def test_an_anonymous_read_touches_no_redis(region: Region) -> None:
    region.world.redis.stall(60.0)
    assert (await region.get(PACKAGE)).at == 0.0
    assert (await region.get("/vmextmieastus/packages/nope")).at == 0.0


@BOTH
async def test_requests_are_counted_by_authentication_and_status(region: Region) -> None:
    await region.get(PACKAGE)
    await region.get(PACKAGE, Range="bytes=0-1")
    await region.call("HEAD", PACKAGE)
    await region.get("/vmextmieastus/packages/nope")
    await region.call("GET", PACKAGE, bearer=region.token())
    await region.call("GET", PACKAGE, bearer="nonsense")
    counts = {
        (auth, code): region.metric("blobstore_requests_total", region="eastus", auth=auth, code=code)
        for auth, code in [("anonymous", c) for c in ("200", "206", "404")] + [("bearer", c) for c in ("200", "401")]
    }
    assert counts == {
        ("anonymous", "200"): 2,
        ("anonymous", "206"): 1,
        ("anonymous", "404"): 1,
        ("bearer", "200"): 1,
        ("bearer", "401"): 1,
    }


async def test_injected_errors_are_counted_like_others(region: Region) -> None:
    rule = {
        "id": "f1",
        "kind": "http_error",
        "target": {"account": "vmextmieastus"},
        "parameters": {"status": 503, "code": "ServerBusy"},
        "expires_at": EPOCH_S + 10.0,
    }
    await region.env.store.set("fault:f1", json.dumps(rule))
    await region.env.live.reload("faults")
    answer = await region.get(PACKAGE)
    assert (answer.status, answer.code) == (503, "ServerBusy")
    assert region.metric("blobstore_requests_total", code="503") == 1
    assert (await region.get("/vmextwineastus/packages/x")).status == 404


async def test_changed_settings_apply_to_the_next_read_and_bad_ones_are_refused(region: Region) -> None:
    store = region.env.store
    await store.set("overlay", '{"blobstore": {"service_time_s": 4.0}}')
    await region.env.live.reload()
    assert (await region.get(PACKAGE)).at > 2.0
    await store.set("overlay", '{"blobstore": {"service_time_s": -1}}')
    await region.env.live.reload()
    refused = [event for event in region.events if event["kind"] == "settings_refused"]
    assert "blobstore.service_time_s" in refused[0]["error"]
    assert (await region.get(PACKAGE)).status == 200
