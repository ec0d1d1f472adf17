"""The same seed gives the same events to the byte: in one process, in another, over both transports."""

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.scenarios.loader import load

SCENARIO = "azure-fnj8-vqz-short"
UNTIL_S = 85.0  # past both collapses: retries, time-outs, crashes and failover are all in it


def digest(seed: int, transport: TransportName = "direct") -> str:
    scenario = load(SCENARIO).model_copy(update={"duration_s": UNTIL_S})
    kept = tuple(entry for entry in scenario.timeline if entry.t < UNTIL_S)
    finished = carry_out(make_plan(scenario.model_copy(update={"timeline": kept}), seed), transport=transport)
    assert finished.recorder is not None
    assert not finished.problem
    assert len(finished.recorder.events) > 1000
    return finished.recorder.sha256


kept_digest = lru_cache(maxsize=None)(digest)
pytestmark = pytest.mark.xdist_group("replay")  # one process, so that equal runs are shared


def test_a_seed_repeats_itself_and_another_seed_does_not() -> None:
    assert kept_digest(1) == digest(1)
    assert kept_digest(1) != digest(2)


def test_a_fresh_process_with_another_hash_seed_repeats_it() -> None:
    here = Path(__file__)
    code = f"import sys; sys.path.insert(0, {str(here.parent)!r}); import {here.stem} as t; print(t.digest(1))"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=110
    )
    assert found.stdout.split()[-1] == kept_digest(1)


def test_http_bytes_and_direct_hand_over_give_the_same_events() -> None:
    assert digest(1, "http") == kept_digest(1)
