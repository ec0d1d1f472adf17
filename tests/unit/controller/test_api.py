"""The controller's API: who may call, what a bad call gets, and that its calls act on the testbed."""

import asyncio
import re
import stat
from pathlib import Path

import pytest

from chaos.controller.auth import load_tokens
from chaos.controller.testbed import Testbed
from compose.topology import NODES_MAX
from tests.unit.controller.controller_desk import Desk

BLOB = "http://blobstore-eastus:8080/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"


async def test_a_missing_or_wrong_token_is_401_and_says_which_scheme(desk: Desk) -> None:
    for token in ("", "wrong"):
        reply = await desk.call("GET", "/v1/status", token=token)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_read_token_may_look_but_not_act(desk: Desk) -> None:
    assert (await desk.call("GET", "/v1/status", token="read-token")).status == 200
    reply = await desk.call("PUT", "/v1/anonymous-access", {"enabled": False}, token="read-token")
    assert reply.status == 403
    assert (await desk.get(BLOB)).status == 200, "and nothing was done"


async def test_an_unknown_target_is_404_with_the_known_ones(desk: Desk) -> None:
    calls = [
        ("PUT", "/v1/accounts/nobody/anonymous-access", {"enabled": True}, "vmextmieastus"),
        ("PUT", "/v1/regions/mars/anonymous-access", {"enabled": True}, "eastus, westus"),
        ("POST", "/v1/operations/scale", {"region": "mars", "count": 1}, "eastus, westus"),
        ("POST", "/v1/operations/repair", {"instance": "x"}, "router-eastus"),
        ("POST", "/v1/runs", {"scenario": "nothing"}, "calm-day"),
        ("POST", "/v1/faults", {"kind": "crash", "target": {"region": "mars"}, "lease_s": 1}, "eastus, westus"),
    ]
    testbed = desk.testbed
    testbed.make_runtime = lambda: testbed.runtime
    for method, path, body, known in calls:
        reply = await desk.call(method, path, body)
        assert reply.status == 404, (path, reply.body)
        assert known in reply.json()["error"]["message"]


BAD_BODIES: tuple[tuple[str, object, str], ...] = (
    ("/v1/faults", {"kind": "latency", "parameters": {"delay_s": -1}, "lease_s": 5}, "parameters.delay_s"),
    ("/v1/faults", {"kind": "latency", "parameters": {"delay_s": 1}}, "body.lease_s"),
    ("/v1/faults", {"kind": "earthquake", "lease_s": 5}, "kind"),
    ("/v1/operations/scale", {"region": "eastus", "count": 5000}, "body.count"),
    ("/v1/operations/load", {"region": "eastus", "factor": -1}, "body.factor"),
    ("/v1/remediation", {"period_s": 0}, "body.period_s"),
    ("/v1/runs", {}, "body.scenario"),
    ("/v1/faults", [1], "body"),
)


async def test_a_bad_body_is_422_and_names_the_field(desk: Desk) -> None:
    for path, body, field in BAD_BODIES:
        reply = await desk.call("POST", path, body)
        assert reply.status == 422, (path, body)
        assert field in reply.json()["error"]["message"], (path, body)


async def test_anonymous_access_flips_by_account_region_and_everywhere(desk: Desk) -> None:
    west = BLOB.replace("eastus", "westus")
    for path, hit, spared in (
        ("/v1/accounts/vmextmieastus/anonymous-access", BLOB, west),
        ("/v1/regions/westus/anonymous-access", west, BLOB),
    ):
        assert (await desk.call("PUT", path, {"enabled": False})).status == 200
        await asyncio.sleep(1.0)
        assert [(await desk.get(url)).status for url in (hit, spared)] == [409, 200]
        assert (await desk.call("PUT", path, {"enabled": True})).status == 200
        await asyncio.sleep(1.0)
        assert (await desk.get(hit)).status == 200
    await desk.call("PUT", "/v1/anonymous-access", {"enabled": False})
    await asyncio.sleep(1.0)
    assert [(await desk.get(url)).status for url in (BLOB, west)] == [409, 409]


async def test_the_policy_job_starts_is_seen_and_is_cancelled(desk: Desk) -> None:
    assert (await desk.call("GET", "/v1/remediation")).status == 404
    assert (await desk.call("POST", "/v1/remediation", {})).status == 202
    assert (await desk.call("POST", "/v1/remediation", {})).status == 409
    await asyncio.sleep(30.0)
    assert (await desk.get(BLOB)).status == 409, "the defective inventory made it switch an exempt account off"
    assert (await desk.call("DELETE", "/v1/remediation")).json()["provisioningState"] == "Canceled"


async def test_reset_brings_back_calm_from_everything_at_once(desk: Desk) -> None:
    await desk.call("PUT", "/v1/anonymous-access", {"enabled": False})
    await desk.call("PUT", "/v1/regions/eastus/traffic", {"mode": "drain"})
    await desk.call("PUT", "/v1/mitigations/R7", {"on": True})
    fault = {"kind": "http_error", "parameters": {"status": 500}, "lease_s": 600, "target": {"service": "router"}}
    await desk.call("POST", "/v1/faults", fault)
    reply = await desk.call("POST", "/v1/reset")
    assert reply.status == 200
    assert reply.json()["faults_ended"] == 1
    await asyncio.sleep(1.0)
    state = (await desk.call("GET", "/v1/status")).json()
    assert (state["faults"], state["mitigations"]) == ([], [])
    assert {region["traffic"] for region in state["regions"]} == {"open"}
    assert {region["exempt_private"] for region in state["regions"]} == {0}


async def test_scaling_really_starts_and_stops_nodes(desk: Desk) -> None:
    added = (await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 2})).json()["nodes"]
    assert added == ["identity-eastus-2", "identity-eastus-3"]
    assert (await desk.get("http://identity-eastus-3:8080/readyz")).status == 200
    await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": -1})
    assert (await desk.get("http://identity-eastus-3:8080/readyz")).failure


async def test_the_controller_works_while_identity_is_entirely_down(desk: Desk) -> None:
    fault = {"kind": "http_error", "parameters": {"status": 503}, "lease_s": 600, "target": {"service": "identity"}}
    assert (await desk.call("POST", "/v1/faults", fault)).status == 201
    assert (await desk.call("GET", "/v1/status")).status == 200
    assert (await desk.call("POST", "/v1/reset")).status == 200


async def test_alerts_become_events(desk: Desk) -> None:
    alert = {"labels": {"alertname": "RetryStorm", "region": "eastus"}, "status": "firing"}
    body = {"version": "4", "status": "firing", "alerts": [alert]}
    for token in ("", "read-token", "operate-token"):
        assert (await desk.call("POST", "/alerts", body, token=token)).status == 401
    assert (await desk.call("POST", "/alerts", body, token="project-secret")).json() == {"received": 1}
    assert desk.testbed.feed.history[-1]["kind"] == "alert"
    assert desk.testbed.feed.history[-1]["region"] == "eastus"


async def test_alerts_from_outside_are_not_listed_while_a_run_writes_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = {"labels": {"alertname": "RetryStorm", "region": "eastus"}, "status": "firing"}
    monkeypatch.setattr(Testbed, "run_is_on", True)
    before = list(desk.testbed.feed.history)
    body = {"version": "4", "status": "firing", "alerts": [alert]}
    assert (await desk.call("POST", "/alerts", body, token="project-secret")).json() == {"received": 1}
    assert [event for event in desk.testbed.feed.history if event not in before] == []


async def test_every_call_of_the_api_is_described(desk: Desk) -> None:
    document = (await desk.call("GET", "/openapi.json", token="")).json()
    assert document["openapi"] == "3.1.0"
    for path in ("/v1/faults", "/v1/remediation", "/v1/runs", "/v1/reset", "/v1/mitigations/{id}"):
        assert path in document["paths"]
    for operations in document["paths"].values():
        assert all(operation["summary"] for operation in operations.values())


def test_tokens_are_made_once_and_kept_private(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "tokens.json"
    first, made = load_tokens(file, "", "")
    again, made_again = load_tokens(file, "", "")
    assert (made, made_again) == (True, False)
    assert first == again
    assert first.read != first.operate
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_tokens(file, "", "mine")[0].operate == "mine"


BEYOND_A_BOUND: tuple[tuple[str, dict[str, object], str], ...] = (
    ("/v1/operations/load", {"region": "eastus", "factor": 100.5}, "body.factor: .*equal to 100"),
    ("/v1/operations/load", {"region": "eastus", "factor": 50}, r"body.factor: 50 would .* 150 .* at most 10.58"),
    ("/v1/operations/scale", {"region": "eastus", "count": 49}, "body.count: .*equal to 48"),
    ("/v1/operations/scale", {"region": "eastus", "count": -2}, "body.count: eastus has 1 .* at most 1"),
    ("/v1/operations/restore", {"spacing_s": 601}, "body.spacing_s: .*equal to 600"),
    ("/v1/remediation", {"period_s": 0.001}, "body.period_s: .*equal to 0.5"),
    ("/v1/remediation", {"gate": {"poll_s": 0.0001}}, "body.gate.poll_s: .*equal to 0.05"),
    ("/v1/runs", {"scenario": "calm-day", "seed": 2**53}, "body.seed: .*9007199254740991"),
    ("/v1/faults", {"kind": "crash", "lease_s": 86401}, "body.lease_s: .*equal to 86400"),
    ("/v1/faults", {"kind": "crash", "lease_s": 5, "probability": 2}, "body.probability: .*equal to 1"),
    ("/v1/faults", {"kind": "throttle", "parameters": {"rate_per_s": 1e7}, "lease_s": 5}, "rate_per_s: .*1000000"),
    ("/v1/faults", {"kind": "cpu_limit", "parameters": {"cpus": 0.001}, "lease_s": 5}, "cpus: .*equal to 0.01"),
    ("/v1/faults", {"kind": "latency", "parameters": {"delay_s": 601}, "lease_s": 5}, "delay_s: .*equal to 600"),
)


async def test_every_size_has_a_bound_that_the_message_names(desk: Desk) -> None:
    for path, body, bound in BEYOND_A_BOUND:
        reply = await desk.call("POST", path, body)
        assert reply.status == 422, reply.body
        assert re.search(bound, reply.json()["error"]["message"]), reply.body


async def test_a_ramp_has_a_longest_time(desk: Desk) -> None:
    body = {"mode": "ramp", "over_s": 1e6}
    reply = await desk.call("PUT", "/v1/regions/eastus/traffic", body)
    assert (reply.status, "86400" in reply.json()["error"]["message"]) == (422, True)


async def test_the_document_says_the_bounds(desk: Desk) -> None:
    text = (await desk.call("GET", "/openapi.json", token="")).body.decode()
    assert "the total is limited to 150 arrivals/s" in text
    assert "a testbed has at most 48 identity nodes" in text


async def test_scaling_out_stops_at_what_the_runtime_carries(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NODES_MAX, "virtual", 4)
    assert (await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 2})).status == 200
    reply = await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 1})
    assert reply.status == 422
    assert "the limit of the virtual runtime is 4, so at most 0 can be added" in reply.json()["error"]["message"]
