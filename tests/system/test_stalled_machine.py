"""A run in real time on a machine that really stands still: every process of it is stopped and continued.

Needs no Docker. The run's own tree of processes is signalled, by process id, and nothing else.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SCENARIO = """
name: at-rest
title: A pair at rest
starts_at: 2026-02-02T18:03:00Z
warmup_s: 25
duration_s: 20
regions:
  - {name: eastus, display: East US, pair: westus, role: east, identity_nodes: 1}
  - {name: westus, display: West US, pair: eastus, role: west, identity_nodes: 1}
load:
  eastus: {token_rate_per_s: 1.5, job_rate_per_s: 0.1}
  westus: {token_rate_per_s: 1, job_rate_per_s: 0.1}
timeline:
  - {id: T01, at_s: 5, do: note, observe: Nothing happens.}
"""
STALL_S = 4.0
SEEN_S = 3.0
"""An event is on disk within this time."""
PATIENCE_S = 150.0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has begun to be judged: its baseline was healthy."""
    (tmp_path / "at-rest.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "chaos", "run", "at-rest.yaml", "--runtime", "local", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not events(tmp_path, "baseline") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    path = folder / "out" / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, (line for line in lines if line.endswith("}"))) if event["kind"] == kind]


def stand_still(processes: list[psutil.Process]) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    time.sleep(STALL_S)
    for process in processes:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.long
def test_a_stalled_machine_is_not_judged_and_one_paused_process_is_no_stalled_machine(
    run: subprocess.Popen[str], tmp_path: Path
) -> None:
    own = psutil.Process(run.pid)
    nodes = [child for child in own.children(recursive=True) if "services.identity" in child.cmdline()]
    assert nodes
    stand_still(nodes[:1])
    time.sleep(SEEN_S)
    assert all(event["stalled_s"] < STALL_S - 1.0 for event in events(tmp_path, "machine_stalled"))
    stand_still([own, *own.children(recursive=True)])
    said = " ".join(run.communicate(timeout=PATIENCE_S)[0].split())
    assert run.returncode == 2, said
    longest_s = max(event["stalled_s"] for event in events(tmp_path, "machine_stalled"))
    assert STALL_S - 0.5 < longest_s < STALL_S + 1.5
    assert "contradicted" not in json.loads((tmp_path / "out" / "verdict.json").read_text())["status"]
