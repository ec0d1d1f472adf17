"""The same seed gives the same events to the byte: in one process, in another, over both transports.

Shorter runs are compared with the beginning of the session's whole incident.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load

pytestmark = pytest.mark.xdist_group("incident")

ROOT = Path(__file__).parents[2]
SCENARIO = "azure-fnj8-vqz-short"
UNTIL_S = 85.0  # past both collapses: retries, time-outs, crashes and failover are all in it


def events(seed: int, transport: TransportName = "direct", until_s: float = UNTIL_S) -> bytes:
    """What is recorded before `until_s` of a run that ends there."""
    scenario = load(SCENARIO).model_copy(update={"duration_s": until_s})
    kept = tuple(entry for entry in scenario.timeline if entry.t < until_s)
    finished = carry_out(make_plan(scenario.model_copy(update={"timeline": kept}), seed), transport=transport)
    assert finished.recorder is not None
    assert not finished.problem
    return before(until_s, finished.recorder.events)


def before(until_s: float, recorded: Iterable[Mapping[str, Any]]) -> bytes:
    found = [json.dumps(event) for event in recorded if event["t"] < until_s]
    assert len(found) > 10 * until_s
    return "\n".join(found).encode()


def test_http_and_the_direct_transport_give_the_same_events(incident: RunRecord) -> None:
    """It is also the second run of the same process: nothing that the first leaves behind has an effect."""
    assert events(1, "http") == before(UNTIL_S, incident.events)


def test_a_fresh_process_with_another_hash_seed_gives_the_same_events(incident: RunRecord) -> None:
    code = f"import hashlib; from {__name__} import events; print(hashlib.sha256(events(1)).hexdigest())"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=110
    )
    assert found.stdout.split()[-1] == sha256(before(UNTIL_S, incident.events)).hexdigest()


def test_another_seed_gives_other_events(incident: RunRecord) -> None:
    """That a run which ends earlier has the events of the beginning is in the two tests above."""
    first_s = 5.0
    assert events(2, until_s=first_s) != before(first_s, incident.events)
