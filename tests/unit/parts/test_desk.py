"""What an action of the user's own can see and do, and a fault of the user's own that crashes nodes."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from services.parts import declared
from tests.unit.parts.own_package import TEMPLATES, isolate

INCIDENTS = TEMPLATES.parent / "incidents"
TRANSPORTS = ("http", "direct")
Run = Callable[..., RunRecord]
WORLD = """
name: desk
title: Actions and faults of one's own
starts_at: 2026-02-02T18:03:00Z
warmup_s: 8
duration_s: UNTIL_S
regions:
  - {name: eastus, display: East US, identity_nodes: 2}
load:
  eastus: {token_rate_per_s: 8, job_rate_per_s: 0}
settings:
  identity: {restart_s: 2}
timeline:
"""
CRASHES = """  - {id: A1, at_s: 1, do: inject_fault, kind: "looks:CrashesLater", lease_s: 14,
     target: {service: identity}, parameters: {after_s: 3}}
"""
OVERLOADED = """  - {id: A0, at_s: 0, do: set_load, region: eastus, factor: 5}
  - {id: A00, at_s: 0, do: own, part: "looks:Overloads"}
"""
ROUTER_CRASHES = CRASHES.replace("service: identity", "service: router")
CAREFUL = '  - {id: A1, at_s: 1, do: own, part: "own_action:CarefulFault", options: {watch_s: 20}}\n'
HARMLESS = CAREFUL.replace("{watch_s: 20}", "{watch_s: 5, least: 0}")
SHARED = """  - {id: A1, at_s: 1, do: own, part: "configuration:Rollout",
     options: {configuration: next, regions: eastus, watch_s: 2, crash_after_s: 4}}
  - {id: A2, at_s: 10, do: own, part: "configuration:Deploy", options: {regions: eastus}}
  - {id: A3, at_s: 16, do: own, part: "configuration:Deploy", options: {regions: eastus, configuration: corrected}}
"""
MORE_PATIENT = SHARED.replace("watch_s: 2", "watch_s: 7")
UNREAD = '  - {id: A1, at_s: 1, do: own, part: "looks:Looks"}\n'
LOOKS = """
from services.chassis.faults import OwnEffect

class CrashesLater:
    def __init__(self, after_s):
        self.after_s = after_s
        self.first_s = None
    def effect(self, request, rng):
        if self.first_s is None:
            self.first_s = request.now_s
        crashes = request.now_s - max(self.first_s, request.since_s) >= self.after_s
        return OwnEffect(crash=True) if crashes else None

class Overloads:
    async def perform(self, desk):
        await desk.settings({"identity": {"crash_after_s": 4, "crash_queue_ratio": 0.2}})

class Looks:
    async def perform(self, desk):
        assert await desk.reading("nodes_up", "eastus", 1.0) == 2
        assert 0.8 < await desk.reading("amplification", "eastus", 5.0) < 1.3
        assert 3 < await desk.reading("operations", "eastus", 5.0) < 13
        assert await desk.reading("provisioning_success", "eastus", 5.0) is None
        await desk.reading("latency_p95", "eastus", 5.0)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the world with a timeline and returns its record."""
    isolate(monkeypatch)
    monkeypatch.setenv(declared.FOLDER, str(INCIDENTS))
    monkeypatch.syspath_prepend(TEMPLATES)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "looks.py").write_text(LOOKS)

    def carried(timeline: str, until_s: float, transport: str = "direct") -> RunRecord:
        path = tmp_path / "desk.yaml"
        path.write_text(WORLD.replace("UNTIL_S", f"{until_s:g}") + timeline)
        finished = carry_out(make_plan(load(path), 1), transport=cast(TransportName, transport))
        assert not finished.problem
        assert finished.recorder is not None
        return RunRecord.from_memory(finished.plan, finished.recorder)

    return carried


def crashes(record: RunRecord, reason: str = "injected_fault") -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for event in record.events_of("node_crashed", reason=reason):
        found.setdefault(event["source"], []).append(event["t"])
    return found


def changes(record: RunRecord) -> list[float]:
    """When settings were changed."""
    return sorted({round(event["t"], 1) for event in record.events_of("setting_changed")})


def test_a_fault_of_ones_own_crashes_nodes_again_and_again_until_it_ends(run: Run) -> None:
    record, other = (run(CRASHES, 20, transport) for transport in TRANSPORTS)

    assert record.events == other.events
    found = crashes(record)
    assert sorted(found) == ["identity-eastus-1", "identity-eastus-2"]
    for times in found.values():
        assert 4 <= times[0] < 6, "three seconds after its first request"
        assert all(5 <= later - sooner < 7 for sooner, later in pairwise(times)), "restart + 3 s"
        assert len(times) >= 2
        assert times[-1] < 15, "the lease"
    effects = record.delta("fault_effects_total", 0, 20, kind="looks:CrashesLater")
    assert effects == sum(map(len, found.values()))
    assert record.curve("identity_node_up")[1][-1] == 2


def test_the_overload_before_a_crash_does_not_crash_the_node_that_has_restarted(run: Run) -> None:
    """Nodes are overloaded from the start, and would crash of it after four seconds; the fault is a second earlier."""
    record = run(OVERLOADED + CRASHES.replace("lease_s: 14", "lease_s: 5"), 16)

    since = {"identity-eastus-1": -8.0, "identity-eastus-2": -8.0}
    of_overload = 0
    lives = [*record.events_of("node_crashed"), *record.events_of("node_restarted")]
    for event in sorted(lives, key=lambda one: one["t"]):
        if event["kind"] == "node_restarted":
            since[event["source"]] = event["t"]
        elif event["reason"] == "sustained_overload":
            of_overload += 1
            assert event["t"] - since[event["source"]] >= 4, event
    assert crashes(record)
    assert of_overload >= 2


def test_a_service_that_has_no_crash_of_its_own_says_so(run: Run) -> None:
    failed = run(ROUTER_CRASHES, 8).events_of("handler_failed")
    assert failed
    assert "crash: a router has no crash of its own" in failed[0]["error"]


def test_an_action_ends_its_fault_when_it_reads_that_users_feel_it(run: Run) -> None:
    (careful,), (harmless,) = (run(text, 10).events_of("fault_ended") for text in (CAREFUL, HARMLESS))

    assert careful["why"] == harmless["why"] == "call"
    assert careful["t"] < 8, "success fell below a half within seconds"
    assert harmless["t"] == 6, "it never looked bad enough"


def test_what_passed_the_gate_is_put_back_and_crashes_on(run: Run) -> None:
    """The gate watches for 2 s, the nodes crash after 4 s, so the bad configuration is the last known good one."""
    record = run(SHARED, 18)

    assert record.events_of("action_failed") == []
    assert changes(record) == [1.0, 16.0], "putting the same one back changes nothing"
    assert crashes(record, "configuration") == {f"identity-eastus-{number}": [5.0, 11.0] for number in (1, 2)}, (
        "after four seconds, and again four seconds after the restart"
    )


def test_a_gate_that_watches_longer_than_the_defect_needs_puts_the_old_one_back(run: Run) -> None:
    record = run(MORE_PATIENT, 18)

    assert changes(record)[:2] == [1.0, 5.0], "as soon as it sees the crash"
    assert crashes(record, "configuration") == {f"identity-eastus-{number}": [5.0] for number in (1, 2)}


def test_readings_are_those_of_the_last_seconds_and_others_are_refused(run: Run) -> None:
    (failed,) = run(UNREAD, 4).events_of("action_failed")
    assert failed["error"].startswith("signal 'latency_p95' cannot be read during a run; known: attempt_success,")
