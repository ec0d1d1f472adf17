"""Malformed requests to any route of the six programs that answer HTTP."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from itertools import product
from typing import Any
from urllib.parse import quote

from compose.topology import PORT
from services.chassis.bodies import DEPTH_MAX, SIZE_MAX_BYTES
from services.clients.identity.client import SUBSCRIPTION
from tests.api_contract import Contract, operations
from tests.contract.small_testbed import HOSTS, SERVERS, SmallTestbed

JSON = {"Content-Type": "application/json"}
NAMES = {
    "subscription": SUBSCRIPTION,
    "group": "eastus",
    "resource_group": "eastus",
    "namespace": "Microsoft.Management",
    "management_group": "all",
    "account": "vmextmieastus",
    "container": "packages",
    "blob": "x",
    "region": "eastus",
    "name": "x1",
    "parent": "x1",
    "extension": "x2",
    "location": "eastus",
    "operation": "00000000-0000-0000-0000-000000000000",
    "id": "R1",
}
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
Call = tuple[str, str, str]
"""Server, method, path."""


def filled(path: str) -> str:
    """The path with names in it that are good, and exist where that matters."""
    return re.sub(r"\{(\w+)\}", lambda found: NAMES.get(found[1], "x1"), path)


def address(path: str, operation: dict[str, Any]) -> str:
    """A path that is good in itself, with the query that must be there."""
    required = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query" and one["required"]]
    query = "&".join(f"{name}=2021-10-01" for name in required)
    return filled(path) + (f"?{query}" if query else "")


async def calls_with_json(testbed: SmallTestbed, each: int = 1000) -> list[Call]:
    """The calls that take JSON, at most `each` of one server."""
    found: list[Call] = []
    for server in SERVERS:
        own = [
            (server, method, address(path, operation))
            for method, path, operation in operations(await testbed.document(server))
            if "application/json" in operation.get("requestBody", {}).get("content", {})
        ]
        assert own, server
        found += own[:each]
    return found


NOT_JSON: dict[str, bytes] = {
    "nested 3000 deep": b"[" * 3000 + b"]" * 3000,
    "nested 3000 deep, objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "nested a little too deep": b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX,
    "never closed": b"[" * 100_000,
    "nothing at all after a brace": b"{",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "half a surrogate pair as a name": b'{"\\udc00": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "beyond a double": b'{"a": 1e999}',
    "beyond 64 bits": b'{"a": 36893488147419103232}',
    "beyond any number": b'{"a": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice, further down": b'{"a": [{"b": 1, "b": 1}]}',
    "a comment": b'{"a": 1 /* one */}',
    "a NUL": b"\x00",
    "two documents": b"{}{}",
}


OTHER_MEDIA = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "image/png",
    "application/json; charset=utf-16",
)


async def test_invalid_json_is_400_with_the_reason(testbed: SmallTestbed) -> None:
    for server, method, path in await calls_with_json(testbed):
        for why, body in NOT_JSON.items():
            reply = await testbed.call(server, method, path, data=body, headers=JSON)
            assert reply.status == 400, (server, method, path, why, reply.body)
            assert b"not valid JSON" in reply.body, (server, method, path, why, reply.body)


async def test_json_at_the_depth_limit_is_accepted(testbed: SmallTestbed) -> None:
    """The limit is that of our JSON reader, not the interpreter's recursion limit."""
    body = b'{"a":' * (DEPTH_MAX - 1) + b"1" + b"}" * (DEPTH_MAX - 1)
    for server, method, path in await calls_with_json(testbed):
        reply = await testbed.call(server, method, path, data=body, headers=JSON)
        assert b"not valid JSON" not in reply.body, (method, path)
        assert reply.status != 500, (server, method, path, reply.body)


async def test_json_that_is_not_an_object_is_refused(testbed: SmallTestbed) -> None:
    for server, method, path in await calls_with_json(testbed):
        for body in (b"[]", b'"x"', b"1", b"true", b"null"):
            reply = await testbed.call(server, method, path, data=body, headers=JSON)
            assert reply.status in (400, 404, 422), (server, method, path, body, reply.status, reply.body)


async def test_another_media_type_is_415(testbed: SmallTestbed) -> None:
    """So no page in a browser can send a body by a form or a plain `fetch`, which may not say `application/json`."""
    for server, method, path in await calls_with_json(testbed):
        for media in OTHER_MEDIA:
            reply = await testbed.call(server, method, path, data=b"{}", headers={"Content-Type": media})
            assert reply.status == 415, (server, method, path, media, reply.body)


async def stream(size_bytes: int) -> AsyncIterator[bytes]:
    """A body of unknown length: it is sent in chunks."""
    for _ in range(0, size_bytes, 2**18):
        yield b" " * 2**18


async def test_a_body_beyond_the_limit_is_413_however_it_is_framed(testbed: SmallTestbed) -> None:
    for server, method, path in await calls_with_json(testbed, 2):
        chunked = await testbed.call(server, method, path, data=stream(20 * 2**20), headers=JSON)
        assert chunked.status == 413, (method, path, chunked)
        assert str(SIZE_MAX_BYTES).encode() in chunked.body, "it names the limit"
        framed = await testbed.call(server, method, path, data=stream(20 * 2**20), headers=JSON)
        assert framed.status == 413, (method, path, framed)


async def test_a_blob_beyond_the_accounts_limit_is_413(testbed: SmallTestbed) -> None:
    env = testbed.runtime._running["blobstore-eastus"].env
    env.live.tree = {**env.live.tree, "blobstore": {**env.live.tree.get("blobstore", {}), "blob_size_max_bytes": 2**20}}
    for listener in env.live._listeners:
        listener("settings")
    path = "/admin/accounts/vmextmieastus/packages/large"
    reply = await testbed.call("blobstore", "PUT", path, data=stream(20 * 2**20))
    assert reply.status == 413
    assert (await testbed.call("blobstore", "GET", "/vmextmieastus/packages/large")).status == 404


async def test_a_damaged_content_encoding_is_400(testbed: SmallTestbed) -> None:
    for server, method, path in await calls_with_json(testbed, 2):
        headers = {**JSON, "Content-Encoding": "gzip"}
        reply = await testbed.call(server, method, path, data=b"this is not gzip", headers=headers)
        assert reply.status == 400, (server, method, path, reply.body)


async def test_a_compressed_bomb_is_413(testbed: SmallTestbed) -> None:
    bomb = gzip.compress(b" " * 20 * 2**20)
    for server, method, path in await calls_with_json(testbed, 1):
        reply = await testbed.call(server, method, path, data=bomb, headers={**JSON, "Content-Encoding": "gzip"})
        assert reply.status == 413, (server, method, path, reply.body)


async def test_an_unsupported_method_is_405_with_the_allowed_methods(testbed: SmallTestbed) -> None:
    for server in SERVERS:
        document = await testbed.document(server)
        contract = Contract(document)
        for path in document["paths"]:
            url = filled(path)
            # Of every path that it matches: `/v1/faults/catalogue` can also be the fault of that name.
            served = {method for method in ALL_METHODS if contract.find(method, url)} - {"HEAD"}
            for method in set(ALL_METHODS) - served - {"HEAD"}:
                reply = await testbed.call(server, method, url)
                assert reply.status == 405, (server, method, path, reply.status, reply.body)
                allowed = set(re.split(r",\s*", reply.headers.get("Allow", "")))
                assert allowed - {"HEAD"} == served, (server, method, path, allowed)


async def test_a_body_on_a_get_request_is_ignored(testbed: SmallTestbed) -> None:
    bodies = (b"x" * 100, b"[" * 3000, b'{"a": 1}')
    for server, path, body in product(SERVERS, ("/healthz", "/metrics", "/openapi.json"), bodies):
        reply = await testbed.call(server, "GET", path, data=body)
        assert reply.status == 200, (server, path, reply.body)


ODD_PATHS = (
    "/%00",
    "/%2F",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%C0%80/x",
    "/%FF%FE/x/y",
    "/%25%32%46/x/y",
    "//",
    "///healthz",
    "/./healthz/../metrics",
    "/%E2%80%AE/x/y",
    "/a%0d%0aSet-Cookie:%20x=1/b/c",
    "/subscriptions/%00/resourceGroups/%2F/providers/Microsoft.Compute/virtualMachines/%FF",
    f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Nothing/things?api-version=2021-10-01",
    "/" + "x" * 4000,
)


async def test_unusual_paths_never_give_a_server_error(testbed: SmallTestbed) -> None:
    for server, path, method in product(SERVERS, ODD_PATHS, ("GET", "PUT", "DELETE")):
        reply = await testbed.call(server, method, path)
        assert 200 <= reply.status < 500, (server, method, path, reply)
        assert "Set-Cookie" not in reply.headers


async def raw(testbed: SmallTestbed, server: str, *lines: bytes) -> bytes:
    """What answers these lines: bytes that no client library sends."""
    host, port = ("controller", 80) if server == "controller" else (HOSTS[server], PORT)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"\r\n".join([*lines, b"Host: " + host.encode(), b"Connection: close", b"", b""]))
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_header_that_is_not_utf_8_is_the_callers_mistake(testbed: SmallTestbed) -> None:
    """A secret of other bytes is a wrong secret; elsewhere the header is named."""
    imds, app = "/metadata/identity/oauth2/token?api-version=2018-02-01", "/msi/token?api-version=2019-08-01"
    for server, line, header, status in (
        ("blobstore", "PUT /admin/accounts/newaccount", b"X-Aftershock-Secret", 403),
        ("router", "PUT /admin/traffic/eastus", b"X-Aftershock-Secret", 403),
        ("loadgen", "POST /admin/stop", b"X-Aftershock-Secret", 403),
        ("controller", "GET /v1/status", b"Authorization: Bearer", 401),
        ("controller", "POST /alerts", b"Authorization: Bearer", 401),
        ("controller", "GET /v1/status", b"Cookie: aftershock_read=", 401),
        ("identity", f"GET {app}&resource=r", b"Metadata: true\r\nX-IDENTITY-HEADER", 401),
        ("identity", f"GET {imds}&resource=r", b"Metadata: true\r\nx-tenant", 400),
    ):
        name = header if b":" in header.rpartition(b"\n")[2] else header + b":"
        answer = await raw(testbed, server, line.encode() + b" HTTP/1.1", name + b" \xff")
        assert answer.startswith(b"HTTP/1.1 %d " % status), (server, line, header, answer)
        assert status != 400 or b"x-tenant" in answer, answer


async def test_a_request_line_without_a_path_and_a_refusal_of_an_odd_path_are_no_server_errors(
    testbed: SmallTestbed,
) -> None:
    for server in SERVERS:
        for line in (b"OPTIONS *", b"CONNECT a:1", b"PUT /a%0db/c/d", b"DELETE /vmextmieastus/packages/%0d%0aX:1"):
            answer = await raw(testbed, server, line + b" HTTP/1.1", b"Origin: http://elsewhere.example")
            assert answer.startswith(b"HTTP/1.1 4"), (server, line, answer)
            assert b"\nX:1" not in answer.partition(b"\r\n\r\n")[0]


NO_NUMBERS = ("", "-1", "--5", "²", "٣", "9" * 30, "9" * 5000, "nan", "1e999", str(2**63))


async def test_a_number_in_a_query_is_a_small_whole_number(testbed: SmallTestbed) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/eastus/providers"
    token = f"{group}/Microsoft.Compute/virtualMachines?api-version=2021-10-01&$skiptoken="
    for text in NO_NUMBERS:
        for server, path, status in (
            ("provisioner", token, 400),
            ("loadgen", "/admin/arrivals?from=", 422),
        ):
            reply = await testbed.call(server, "GET", path + quote(text))
            assert reply.status == status, (server, text[:40], reply)


def spellings(path: str) -> list[str]:
    """The fixed words of a path of the resource manager in other cases, the last with a slash at the end."""
    words = path.split("/")
    cases = [
        "/".join(word if word.startswith("{") else change(word) for word in words)
        for change in (str.lower, str.upper, str.swapcase)
    ]
    return [*cases, f"{path}/"]


async def test_resource_manager_paths_are_case_insensitive(testbed: SmallTestbed) -> None:
    for server in ("blobstore", "provisioner", "identity", "router", "controller"):
        asked = 0
        for path, methods in (await testbed.document(server))["paths"].items():
            if path.startswith(("/subscriptions/", "/providers/")) and "get" in methods:
                canonical = await testbed.call(server, "GET", address(path, methods["get"]))
                for spelling in spellings(path):
                    reply = await testbed.call(server, "GET", address(spelling, methods["get"]))
                    assert reply.status == canonical.status, (server, spelling, reply.body)
                    assert _code(reply.body) == _code(canonical.body), (server, spelling, reply.body)
                    asked += 1
        assert asked >= 8, server


def _code(body: bytes) -> str:
    found = json.loads(body)
    return str(found.get("error", {}).get("code", ""))


GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/eastus/providers"
STORAGE, COMPUTE = f"{GROUP}/Microsoft.Storage/storageAccounts", f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets"
IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities"
POLICY = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.PolicyInsights/remediations"
VERSION = "?api-version=2021-10-01"
EXTENSION = {"name": "a", "properties": {"publisher": "a", "type": "b", "autoUpgradeMinorVersion": "yes"}}
PROFILE = {"virtualMachineProfile": {"extensionProfile": {"extensions": [EXTENSION]}}}
OF_ANOTHER_TYPE: list[tuple[str, str, str, object, str]] = [
    ("controller", "PUT", "/v1/anonymous-access", {"enabled": "yes"}, "enabled"),
    ("controller", "PUT", "/v1/anonymous-access", {"enabled": 1}, "enabled"),
    ("controller", "PUT", "/v1/mitigations/R1", {"on": "yes"}, "on"),
    ("controller", "POST", "/v1/remediation", {"inventory": {"validate_targets": "yes"}}, "validate_targets"),
    ("controller", "POST", "/v1/operations/load", {"region": "eastus", "factor": "2"}, "factor"),
    ("blobstore", "PUT", "/admin/accounts/newaccount", {"public": "yes"}, "public"),
    ("blobstore", "PUT", "/admin/accounts/newaccount", {"exempt": 1}, "exempt"),
    ("loadgen", "POST", "/admin/load", {"region": "eastus", "factor": "2"}, "factor"),
    ("loadgen", "POST", "/admin/start", {"at_epoch": "1"}, "at_epoch"),
    ("router", "PUT", "/admin/traffic/eastus", {"mode": "ramp", "over_s": "80"}, "over_s"),
    ("router", "PUT", "/admin/traffic/eastus", {"mode": "ramp", "over_s": True}, "over_s"),
]
OF_ANOTHER_TYPE_IN_ARM: list[tuple[str, str, str, object, str]] = [
    ("blobstore", "PATCH", f"{STORAGE}/vmextmieastus", {"properties": {"allowBlobPublicAccess": "yes"}}, "Access"),
    ("provisioner", "PUT", f"{COMPUTE}/x1", {"location": "eastus", "properties": PROFILE}, "autoUpgradeMinorVersion"),
    ("identity", "PUT", f"{IDENTITY}/one", {"location": "eastus", "tags": {"a": True}}, "tags"),
    ("identity", "PUT", f"{IDENTITY}/one", {"location": 5}, "location"),
    ("identity", "PATCH", f"{IDENTITY}/one", {"tags": ["a"]}, "tags"),
    ("router", "PUT", f"{IDENTITY}/one", {"location": 5}, "location"),
    ("controller", "PUT", f"{POLICY}/one", {"properties": {"policyAssignmentId": "p", "resourceCount": True}}, "Count"),
]


async def test_a_value_of_the_wrong_type_is_refused_by_field_name(testbed: SmallTestbed) -> None:
    """A boolean that is the string "yes" is no boolean; the resource manager says 400, our own calls 422."""
    for status, table in ((422, OF_ANOTHER_TYPE), (400, OF_ANOTHER_TYPE_IN_ARM)):
        for server, method, path, body, field in table:
            query = VERSION if status == 400 else ""
            reply = await testbed.call(server, method, path + query, json=body)
            assert reply.status == status, (server, path, reply.body)
            assert field in reply.body.decode(), (server, path, reply.body)
