"""The same seed gives the same events to the byte: in one process, in another, over both transports."""

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.scenarios.loader import load

ROOT = Path(__file__).parents[2]
SCENARIO = "azure-fnj8-vqz-short"
UNTIL_S = 85.0  # past both collapses: retries, time-outs, crashes and failover are all in it


def digest(seed: int, transport: TransportName = "direct", until_s: float = UNTIL_S) -> str:
    scenario = load(SCENARIO).model_copy(update={"duration_s": until_s})
    kept = tuple(entry for entry in scenario.timeline if entry.t < until_s)
    finished = carry_out(make_plan(scenario.model_copy(update={"timeline": kept}), seed), transport=transport)
    assert finished.recorder is not None
    assert not finished.problem
    assert len(finished.recorder.events) > 10 * until_s
    return finished.recorder.sha256


kept_digest = lru_cache(maxsize=None)(digest)


def test_http_and_the_direct_transport_give_the_same_events() -> None:
    """It is also the second run of the same process: nothing that the first leaves behind has an effect."""
    assert digest(1, "http") == kept_digest(1)


def test_a_fresh_process_with_another_hash_seed_gives_the_same_events() -> None:
    code = f"from {__name__} import digest; print(digest(1))"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=110
    )
    assert found.stdout.split()[-1] == kept_digest(1)


def test_another_seed_gives_other_events() -> None:
    first_s = 5.0
    assert digest(2, until_s=first_s) != digest(1, until_s=first_s) == digest(1, until_s=first_s)
