"""The same seed gives the same events to the byte: in one process, in another, over both transports."""

import json
import os
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.scenarios.loader import loads
from chaos.scenarios.model import Scenario
from tests.unit.export.small_run import SMALL

ROOT = Path(__file__).parents[2]
KINDS = {"operation", "job_finished", "account_changed", "fault_ended", "instance_started", "traffic_changed", "alert"}
UNTIL_S = 34.0
"""Retries, time-outs, a scale-out, failover, two faults, a crash, drain and ramp are all before it."""


def small(until_s: float) -> Scenario:
    """The beginning of the small run of the exports, with more jobs."""
    scenario = loads(SMALL)
    load = {name: rates.model_copy(update={"job_rate_per_s": 0.5}) for name, rates in scenario.load.items()}
    kept = tuple(entry for entry in scenario.timeline if entry.t < until_s)
    return scenario.model_copy(update={"duration_s": until_s, "timeline": kept, "load": load})


def events(seed: int = 1, transport: TransportName = "direct", until_s: float = UNTIL_S) -> list[str]:
    """What is recorded before `until_s` of a run that ends there."""
    finished = carry_out(make_plan(small(until_s), seed), transport=transport)
    assert finished.recorder is not None
    assert not finished.problem
    return [json.dumps(event) for event in finished.recorder.events if event["t"] < until_s]


def digest(found: list[str]) -> str:
    return sha256("\n".join(found).encode()).hexdigest()


@cache
def reference() -> list[str]:
    found = events()
    assert len(found) > 10 * UNTIL_S
    assert {json.loads(line)["kind"] for line in found} >= KINDS
    return found


def test_a_fresh_process_with_another_hash_seed_gives_the_same_events_over_http() -> None:
    code = f"from {__name__} import digest, events; print(digest(events(transport='http')))"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=110
    )
    assert found.stdout.split()[-1] == digest(reference())


def test_a_run_that_ends_earlier_has_the_events_of_the_beginning_and_another_seed_has_others() -> None:
    """It is also the second run of the same process: nothing that the first leaves behind has an effect."""
    first_s = 5.0
    beginning = [line for line in reference() if json.loads(line)["t"] < first_s]
    assert events(until_s=first_s) == beginning
    assert events(2, until_s=first_s) != beginning
