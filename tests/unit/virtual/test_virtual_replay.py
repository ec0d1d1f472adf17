"""The same seed gives the same log: twice in a process, elsewhere, and over both transports."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compose.virtual.world import TransportKind
from tests.unit.virtual import mini_scenario

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def test_twice_in_one_process() -> None:
    first, second = mini_scenario.Scenario("http", 7), mini_scenario.Scenario("http", 7)
    first.run()
    second.run()
    assert first.log == second.log
    assert len(first.log) > 500


@pytest.mark.parametrize("seed", range(4))
def test_over_both_transports(seed: int) -> None:
    http, direct = mini_scenario.Scenario("http", seed), mini_scenario.Scenario("direct", seed)
    http.run()
    direct.run()
    assert http.log == direct.log


@pytest.mark.parametrize("transport", ["http", "direct"])
def test_in_another_process_with_another_hash_seed(transport: TransportKind) -> None:
    here = mini_scenario.Scenario(transport, 7).run()
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", mini_scenario.__name__, transport, "7"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def test_another_seed_gives_another_log() -> None:
    assert mini_scenario.Scenario("direct", 1).run() != mini_scenario.Scenario("direct", 2).run()
