"""Every word of a scenario, performed in a run on both virtual transports and proven by its effect.

The words come from the registries: an action or a kind of fault without a case here fails.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any, cast, get_args

import pytest

from chaos.experiment.experiment import Experiment
from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.faults.registry import CATALOGUE
from chaos.record.record import RunRecord
from chaos.scenarios.actions import ACTIONS
from chaos.scenarios.loader import loads
from compose.runtime import RuntimeUnavailable
from services.chassis.http import HttpClient
from tests.unit.parts.own_package import declare_templates

TRANSPORTS = ("http", "direct")
HEAD = """
name: vocabulary
title: Every word once
starts_at: 2026-02-02T18:03:00Z
warmup_s: 24
duration_s: {duration}
regions:
  - {{name: eastus, display: East US, role: east, identity_nodes: 3}}
load:
  eastus: {{token_rate_per_s: {users}, job_rate_per_s: {jobs}}}
timeline:
"""
BUSY, QUIET = {"users": 4, "jobs": 1}, {"users": 1.5, "jobs": 0}
"""Actions are seen in what happens to users. Faults are looked at by `Eyes`, but the run needs a baseline too."""

# --- actions ---------------------------------------------------------------------------------------------

TIMELINE = """
  - {id: A01, at_s: 1, do: note, observe: Nothing happens.}
  - {id: A02, at_s: 2, do: disable_accounts, regions: [eastus], accounts: ["vmextmi*"]}
  - {id: A03, at_s: 4, do: audit_accounts}
  - {id: A04, at_s: 5, do: restore_accounts, regions: [eastus]}
  - {id: A05, at_s: 7, do: audit_accounts}
  - {id: A06, at_s: 8, do: scale_identity, nodes: {eastus: 2}}
  - {id: A07, at_s: 12, do: drain, regions: [eastus]}
  - {id: A08, at_s: 16, do: ramp, regions: [eastus], from_fraction: 0.5, to_fraction: 1, over_s: 4, hold_s: 20}
  - {id: A09, at_s: 21, do: open, regions: [eastus]}
  - {id: A10, at_s: 30, do: set_load, region: eastus, factor: 4, for_s: 8}
  - {id: A11, at_s: 46, do: mitigate, "on": [R1]}
  - {id: A12, at_s: 48, do: inject_fault, kind: http_error, target: {service: router}, lease_s: 30,
     parameters: {status: 503}}
  - {id: A13, at_s: 52, do: end_fault, fault: A12}
  - {id: A14, at_s: 56, do: start_remediation}
  - {id: A15, at_s: 66, do: cancel_remediation}
  - {id: A16, at_s: 68, do: own, part: "own_action:ShedInSteps", options: {steps: 1, pause_s: 2}}
"""
DURATION_S = 75.0
ROUTED = "router_requests_total"


@cache
def actions_run(transport: TransportName) -> RunRecord:
    plan = make_plan(loads(HEAD.format(duration=DURATION_S, **BUSY) + TIMELINE), 1)
    finished = carry_out(plan, transport=transport)
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)


def at(record: RunRecord, kind: str, **match: Any) -> list[float]:
    return [event["t"] for event in record.events_of(kind, **match)]


def first(record: RunRecord, kind: str, **match: Any) -> dict[str, Any]:
    found = record.first_event(kind, **match)
    assert found is not None, kind
    return found


def arrivals(record: RunRecord, start: float, end: float) -> int:
    return sum(start <= event["intended_t"] < end for event in record.events_of("operation"))


def noted(record: RunRecord) -> None:
    assert first(record, "action", id="A01")["parameters"] == {"observe": "Nothing happens."}


def disabled(record: RunRecord) -> None:
    flip = record.events_of("account_changed", actor="A02")
    assert [(event["account"], event["public"]) for event in flip] == [("vmextmieastus", False)]


def restored(record: RunRecord) -> None:
    flip = record.events_of("account_changed", actor="A04")
    assert [(event["account"], event["public"]) for event in flip] == [("vmextmieastus", True)]


def audited(record: RunRecord) -> None:
    assert [event["private_exempt"] for event in record.events_of("audit")] == [1, 0]


def scaled(record: RunRecord) -> None:
    assert first(record, "identity_scaled")["nodes"] == ["identity-eastus-4", "identity-eastus-5"]
    assert record.label_values("identity_node_up", "instance", service="identity") == [
        f"identity-eastus-{number}" for number in range(1, 6)
    ]


def sheds(mode: str) -> Callable[[RunRecord], None]:
    def check(record: RunRecord) -> None:
        assert [event["t"] >= 0 for event in record.events_of("traffic_changed", mode=mode)] == [True]

    return check


def drained(record: RunRecord) -> None:
    assert record.delta("router_shed_total", 5, 12) == 0
    assert (record.delta("router_shed_total", 12, 16, reason="drain") or 0) > 0
    assert record.delta("router_shed_total", 22, 30) == 0, "and open again"


def loaded(record: RunRecord) -> None:
    before, during, after = (arrivals(record, t, t + 8) for t in (22, 30, 38))
    assert during > 2 * before
    assert during > 2 * after


def mitigated(record: RunRecord) -> None:
    assert first(record, "mitigated", id="A11")["on"] == ["R1"]
    assert at(record, "setting_changed")


def injected(record: RunRecord) -> None:
    assert first(record, "fault_started")["actor"] == "A12"
    assert record.delta("fault_effects_total", 0, 48) == 0
    assert (record.delta("fault_effects_total", 48, 52.5, kind="http_error") or 0) > 0
    assert record.delta("fault_effects_total", 53, DURATION_S) == 0


def ended(record: RunRecord) -> None:
    assert [(event["t"], event["why"]) for event in record.events_of("fault_ended")] == [(52.0, "call")]


def remediated(record: RunRecord) -> None:
    assert 56 <= first(record, "remediation_started")["t"] < 57


def cancelled(record: RunRecord) -> None:
    assert at(record, "remediation_canceled") == [66.0]


def acted(record: RunRecord) -> None:
    steps = [(event["t"], event["factor"]) for event in record.events_of("load_changed") if event["t"] >= 68]
    assert steps == [(68.0, 0.5), (70.0, 1.0)]


EFFECTS: dict[str, tuple[Callable[[RunRecord], None], ...]] = {
    "note": (noted,),
    "disable_accounts": (disabled,),
    "restore_accounts": (restored,),
    "audit_accounts": (audited,),
    "scale_identity": (scaled,),
    "drain": (sheds("drain"), drained),
    "ramp": (sheds("ramp"),),
    "open": (sheds("open"),),
    "set_load": (loaded,),
    "mitigate": (mitigated,),
    "inject_fault": (injected,),
    "end_fault": (ended,),
    "start_remediation": (remediated,),
    "cancel_remediation": (cancelled,),
    "own": (acted,),
}


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> None:
    declare_templates(monkeypatch)


def names() -> list[str]:
    return [get_args(action.model_fields["do"].annotation)[0] for action in ACTIONS]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("action", names())
def test_every_action_has_its_effect(action: str, transport: TransportName) -> None:
    record = actions_run(transport)
    assert record.events_of("action_failed") == []
    assert record.events_of("action", action=action), f"no entry of TIMELINE does {action}"
    for check in EFFECTS[action]:
        check(record)


# --- faults ----------------------------------------------------------------------------------------------

NAME, PEER = "blobstore-eastus", "provisioner-eastus"
BLOB = "/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
PARAMETERS: dict[str, dict[str, Any]] = {
    "latency": {"delay_s": 0.5},
    "http_error": {"status": 500},
    "fail_first": {"count": 1000, "status": 503},
    "throttle": {"rate_per_s": 0},
    "partition": {"peer": PEER},
}
STATUS = {500: "http_error", 503: "fail_first", 429: "throttle"}
FAILURE = {"reset": "connection_reset", "timeout": "blackhole"}
OFFERED = [kind for kind, fault in CATALOGUE.items() if "virtual" in fault.runtimes]
TIMES = ((1, "C", "probability: 0, lease_s: 4"), (8, "L", "lease_s: 4"), (16, "E", "lease_s: 60"))
EACH_S = 24
"""A kind's share of the time: with probability 0, ended by its lease, ended by an entry."""


def timeline_of(kinds: list[str]) -> str:
    lines = []
    for number, kind in enumerate(kinds):
        target = "{}" if kind == "redis_stall" else f"{{instance: {NAME}}}"
        parameters = str(PARAMETERS.get(kind, {})).replace("'", "")
        what = f"do: inject_fault, kind: {kind}, target: {target}, parameters: {parameters}"
        for start, name, more in (
            (1, "C", "probability: 0, lease_s: 4"),
            (8, "L", "lease_s: 4"),
            (16, "E", "lease_s: 60"),
        ):
            lines.append(f"  - {{id: {name}{number}, at_s: {number * EACH_S + start}, {what}, {more}}}")
        lines.append(f"  - {{id: X{number}, at_s: {number * EACH_S + 20}, do: end_fault, fault: E{number}}}")
    return "\n".join(lines)


class Eyes:
    """Looks at the target once a second, in the name of an operator and of a peer."""

    def __init__(self) -> None:
        self.seen: dict[int, set[str]] = {}

    def __call__(self, experiment: Experiment, t: float) -> None:
        if t >= 0:
            experiment.background.call(self._look(experiment, int(t)), f"look at {t}")

    async def _look(self, experiment: Experiment, t: int) -> None:
        runtime: Any = experiment.runtime
        found: set[str] = set()
        self.seen[t] = found
        if not await _answers(runtime.store.ping()):
            found.add("redis_stall")
            return
        now = runtime.clock.now
        alive = await runtime.http.call("GET", f"http://{NAME}:8080/healthz", timeout_s=0.2)
        if alive.failure:
            found.add("crash" if alive.failure == "refused" else "freeze")
            return
        peer = HttpClient(runtime._world.session(PEER))
        if (await peer.call("GET", f"http://{NAME}:8080/healthz", timeout_s=0.2)).failure:
            found.add("partition")
        before = now()
        reply = await runtime.http.call("GET", f"http://{NAME}:8080{BLOB}", timeout_s=0.9)
        if reply.failure:
            found.add(FAILURE[reply.failure])
        elif reply.status in STATUS:
            found.add(STATUS[reply.status])
        if 0.5 <= now() - before < 0.8:
            found.add("latency")


async def _answers(work: Any) -> bool:
    try:
        await asyncio.wait_for(work, 0.2)
    except TimeoutError:
        return False
    return True


@cache
def faults_run(transport: TransportName) -> tuple[RunRecord, dict[int, set[str]]]:
    eyes = Eyes()
    text = HEAD.format(duration=len(OFFERED) * EACH_S, **QUIET) + timeline_of(OFFERED)
    finished = carry_out(make_plan(loads(text), 1), transport=transport, observers=[eyes])
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder), eyes.seen


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", OFFERED)
def test_every_kind_of_fault_has_its_effect_and_it_ends(kind: str, transport: TransportName) -> None:
    record, seen = faults_run(transport)
    assert record.events_of("action_failed") == []
    number = OFFERED.index(kind)
    mine = [seen[number * EACH_S + second] for second in range(EACH_S)]
    expected = [{kind} if 8 < t < 12 or 16 < t < 20 else set() for t in range(EACH_S)]
    settled = [second for second in range(EACH_S) if second not in (8, 12, 13, 16, 20, 21)]
    assert [mine[t] for t in settled] == [expected[t] for t in settled]
    ends = [event["why"] for event in record.events_of("fault_ended", number * EACH_S, (number + 1) * EACH_S)]
    own = CATALOGUE[kind].level == "instance"
    assert ends == (["lease", "lease", "call"] if own else ["call"]), "services end theirs by themselves"


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if kind not in OFFERED])
def test_a_kind_that_virtual_time_does_not_offer_is_refused_before_the_run(kind: str) -> None:
    parameters = {"cpu_limit": "{cpus: 0.1}"}[kind]
    text = f"  - {{id: F01, at_s: 1, do: inject_fault, kind: {kind}, parameters: {parameters}, lease_s: 5}}"
    plan = make_plan(loads(HEAD.format(duration=10, **QUIET) + text), 1)
    with pytest.raises(RuntimeUnavailable, match=f"vocabulary: F01: {kind}: not supported by the virtual runtime"):
        carry_out(plan)


def test_the_same_seed_gives_the_same_events_on_both_transports_with_faults() -> None:
    """Faults of the network are HTTP's; of the others nobody can tell which transport it was."""
    logs = [actions_run(cast(TransportName, transport)).events for transport in TRANSPORTS]
    assert logs[0] == logs[1]
