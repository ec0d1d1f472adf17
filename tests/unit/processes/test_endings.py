"""Ctrl-C (also twice, or during start), SIGTERM, SIGHUP, SIGKILL: the exit code tells which; no process is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from tests.unit.processes.process_watch import descendants, left_after

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[3]
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
SCENARIO = """
name: tiny
title: One region for a long while
starts_at: 2026-02-02T18:03:00Z
warmup_s: 14
duration_s: 100000
regions:
  - {name: eastus, display: East US, role: east, identity_nodes: 1}
load:
  eastus: {token_rate_per_s: 4, job_rate_per_s: 0}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    return path


@contextmanager
def started(folder: Path, *arguments: str, until: str) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """The command under way, once it has said `until`, and all that runs below it."""
    # A shell starts background jobs with SIGINT ignored, and children inherit that: a CI runner may be such a job.
    heeded = {number: signal.signal(number, signal.SIG_DFL) for number in (INT, HUP)}
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "chaos", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
    below: set[int] = set()
    assert process.stdout is not None
    try:
        while until and until not in process.stdout.readline():
            assert process.poll() is None
        below = descendants(process.pid)
        yield process, below
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for pid in left_after(below, 0.0):
            os.kill(pid, signal.SIGKILL)


def send(process: subprocess.Popen[str], signals: Sequence[int]) -> str:
    """As a terminal does: to the whole group. What the command says until its end."""
    for number in signals:
        os.killpg(process.pid, number)
    return process.communicate(timeout=60)[0]


STARTING, RUNNING = "tiny: One region", "τ="


@pytest.mark.parametrize(
    ("runtime", "until", "signals", "code"),
    [
        pytest.param("virtual", RUNNING, [INT], 130, marks=pytest.mark.long),
        ("virtual", RUNNING, [INT, INT], 130),
        pytest.param("virtual", RUNNING, [TERM], 143, marks=pytest.mark.long),
        pytest.param("virtual", RUNNING, [HUP], 129, marks=pytest.mark.long),
        pytest.param("virtual", STARTING, [INT], 130, marks=pytest.mark.long),
        ("virtual", STARTING, [TERM], 143),
        ("local", RUNNING, [INT], 130),
        pytest.param("local", RUNNING, [INT, INT], 130, marks=pytest.mark.long),
        pytest.param("local", RUNNING, [HUP], 129, marks=pytest.mark.long),
        pytest.param("local", STARTING, [TERM], 143, marks=pytest.mark.long),
        pytest.param("local", STARTING, [INT, INT], 130, marks=pytest.mark.long),
    ],
)
def test_a_run_that_is_told_to_end_closes_its_record_and_leaves_nothing(
    runtime: str, until: str, signals: list[int], code: int, scenario: Path
) -> None:
    folder = scenario.parent / "run"
    command = ["run", str(scenario), "--runtime", runtime, "--out", str(folder)]
    with started(scenario.parent, *command, until=until) as (process, below):
        said = send(process, signals)
        assert process.returncode == code, said
        assert left_after(below) == set()
    assert "Traceback" not in said
    if until == RUNNING:
        assert "interrupted; the record so far is in" in said
        assert (folder / "metrics.npz").exists()
    if (runtime, until, signals) == ("virtual", RUNNING, [INT, INT]):
        assert json.loads((folder / "events.jsonl").read_text().splitlines()[0])["kind"] == "instance_started"
        assert CliRunner().invoke(main, ["report", str(folder)]).exit_code == 2, "what there is cannot be judged"
        assert (folder / "report.html").exists()


def test_a_run_that_is_killed_leaves_nothing_running(scenario: Path) -> None:
    command = ["run", str(scenario), "--runtime", "local", "--out", str(scenario.parent / "run")]
    with started(scenario.parent, *command, until="") as (process, below):
        below |= _once_there_are(6, process.pid)  # all of them, still busy with their imports
        process.kill()
        assert left_after(below) == set()
    result = CliRunner().invoke(main, ["report", str(scenario.parent / "run")])
    assert result.exit_code == 2
    assert "the record was never closed" in result.stderr


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([INT], 130),
        pytest.param([TERM, TERM], 143, marks=pytest.mark.long),
        pytest.param([HUP], 129, marks=pytest.mark.long),
    ],
)
def test_serve_ends_with_what_it_started(signals: list[int], code: int, scenario: Path) -> None:
    command = ["serve", "--port", "0", "--scenario", str(scenario)]
    with started(scenario.parent, *command, until="chaos controller on") as (process, below):
        assert len(below) >= 5
        said = send(process, signals)
        assert process.returncode == code, said
        assert left_after(below) == set()
    assert "Traceback" not in said


def test_serve_can_be_told_twice_to_end_while_it_starts(scenario: Path) -> None:
    """As a run of the local runtime can: both start the same testbed."""
    with started(scenario.parent, "serve", "--port", "0", "--scenario", str(scenario), until="starting") as (
        process,
        below,
    ):
        said = send(process, [INT, INT])
        assert process.returncode == 130, said
        assert left_after(below | descendants(process.pid)) == set()
    assert "Traceback" not in said


IMPATIENT_S = 0.1
LONG: dict[str, tuple[list[str], str]] = {
    "soak": (["soak", "--hours", "4"], "hour"),
    "serve": (["serve", "--port", "0", "--scenario", "tiny.yaml"], "chaos controller on"),
    "run": (["run", "tiny.yaml", "--runtime", "local", "--out", "run"], RUNNING),
    "campaign": (["campaign", "--scenario", "azure-fnj8-vqz", "--jobs", "2", "--seeds", "4"], ""),
    "matrix": (["matrix", "azure-fnj8-vqz", "--jobs", "2", "--seeds", "2"], ""),
    "map": (["map", "--jobs", "2"], ""),
    "validate": (["validate", "--jobs", "2"], ""),
    "size": (["size", "azure-fnj8-vqz", "--jobs", "2", "--sizes", "1:2"], ""),
    "try-retries": (["try-retries", "envoy.yaml", "--jobs", "2"], ""),
    "results": (["results", "--plan", "plan.yaml", "--jobs", "2"], "hour"),
}
"""Every command that takes long, and what it says when it is under way; those of many runs say nothing before they have
a result."""
SHORT = {"scenarios", "report", "diff", "conformance", "new", "export", "check-part"}
IN_DOCKER = {"kills", "watch"}
OFTEN = ("soak", "campaign")
"""One of each kind; the others are tested with the long tests."""


def test_every_command_that_takes_long_is_here() -> None:
    assert set(LONG) | SHORT | IN_DOCKER == set(main.commands)


@pytest.mark.parametrize(
    "command", [pytest.param(one, marks=[] if one in OFTEN else [pytest.mark.long]) for one in LONG]
)
def test_ctrl_c_again_and_again_ends_it_with_130_and_leaves_nothing(command: str, scenario: Path) -> None:
    """The second one meets whatever the first one has begun, at any moment; the third may end the process at once."""
    arguments, until = LONG[command]
    (scenario.parent / "plan.yaml").write_text(
        "steps: [{name: one, run: aftershock soak --hours 4, core_minutes: 1}]\n"
    )
    (scenario.parent / "envoy.yaml").write_text("retry_policy: {num_retries: 2, retry_on: 5xx}\n")
    with started(scenario.parent, *arguments, until=until) as (process, below):
        if not until:
            below |= _once_there_are(3, process.pid)
        said = until_it_is_gone(process)
        assert process.returncode in (130, -INT), said  # a shell shows 130 for both
        assert left_after(below) == set()
    assert "Traceback" not in said
    assert "Error" not in said


def until_it_is_gone(process: subprocess.Popen[str]) -> str:
    """Ctrl-C every tenth of a second; what the command says until its end."""
    while True:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, INT)
        try:
            return process.communicate(timeout=IMPATIENT_S)[0]
        except subprocess.TimeoutExpired:
            continue


MANY = {
    "campaign": ["campaign", "--scenario", "azure-fnj8-vqz", "--jobs", "2", "--seeds", "4"],
    "matrix": ["matrix", "azure-fnj8-vqz", "--jobs", "2", "--seeds", "2"],
    "map": ["map", "--jobs", "2"],
    "validate": ["validate", "--jobs", "2"],
}


@pytest.mark.parametrize(
    ("command", "signals", "code"),
    [
        ("campaign", [INT], 130),
        ("campaign", None, -9),
        pytest.param("matrix", [HUP], 129, marks=pytest.mark.long),
        pytest.param("map", [TERM, TERM], 143, marks=pytest.mark.long),
    ],
)
def test_many_runs_end_with_the_command(command: str, signals: list[int] | None, code: int, tmp_path: Path) -> None:
    """A terminal's signals reach all processes of the group; none of them may print anything of its own."""
    with started(tmp_path, *MANY[command], until="") as (process, below):
        below |= _once_there_are(3, process.pid)
        said = ""
        if signals is None:
            process.kill()
            process.wait()
        else:
            said = send(process, signals)
        assert process.returncode == code, said
        assert left_after(below) == set()
    assert "Traceback" not in said
    assert "Error" not in said


def _once_there_are(count: int, pid: int) -> set[int]:
    """So many processes below that one, e.g. two workers and the tracker of multiprocessing.

    A command of many runs says nothing before it has a result.
    """
    import time

    until = time.monotonic() + 60
    while len(found := descendants(pid)) < count:
        assert time.monotonic() < until, "the workers did not start"
        time.sleep(0.02)
    return found
