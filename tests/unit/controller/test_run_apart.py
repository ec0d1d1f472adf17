"""A run in a process of its own, as the rest of the controller sees it; with real processes: tests/clients."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chaos.controller import run_apart
from chaos.controller.run_apart import RunApart
from tests.unit.controller.controller_desk import Desk

ORDER = {"scenario": "calm-day", "seed": 3, "mitigations": ["R1"]}


class Process:
    """Stands for the child process: this test has no sockets and no processes."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.log = name, log
        COMMANDS.append(command)

    async def wait(self) -> None:
        await asyncio.sleep(86_400.0)

    def exit_summary(self) -> str:
        return "no words"


COMMANDS: list[list[str]] = []


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    COMMANDS.clear()

    async def end(_children: Any) -> None:
        return None

    monkeypatch.setattr(run_apart, "Child", Process)
    monkeypatch.setattr(run_apart, "end", end)


async def test_a_testbed_that_cannot_run_scenarios_runs_them_in_virtual_time(desk: Desk) -> None:
    started = (await desk.call("POST", "/v1/runs", ORDER)).json()
    assert (started["runtime"], started["state"], started["mitigations"]) == ("virtual", "running", ["R1"])
    [command] = COMMANDS
    said = " ".join(command)
    assert "-m chaos run calm-day --runtime virtual --transport direct --seed 3" in said
    assert said.endswith("--with R1")
    assert (await desk.call("GET", "/v1/status")).json()["run"]["id"] == started["id"]


async def test_it_excludes_a_second_run_but_not_what_is_done_to_the_testbed(desk: Desk) -> None:
    await desk.call("POST", "/v1/runs", ORDER)
    assert (await desk.call("POST", "/v1/runs", ORDER)).status == 409
    assert (await desk.call("PUT", "/v1/mitigations/R7", {"on": True})).status == 200
    assert not desk.testbed.run_is_on, "alerts and banners of the testbed are its own"


async def test_aborting_and_back_to_calm_end_it(desk: Desk) -> None:
    await desk.call("POST", "/v1/runs", ORDER)
    assert (await desk.call("DELETE", "/v1/runs/current")).json()["state"] == "aborted"
    await desk.call("POST", "/v1/runs", ORDER)
    run = desk.testbed.apart
    assert isinstance(run, RunApart)
    assert (await desk.call("POST", "/v1/reset")).status == 200
    assert (run.state, run.active) == ("aborted", False)
    assert (await desk.call("GET", "/v1/runs/current")).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scenario": "nothing"}, 404),
        ({"scenario": "calm-day", "mitigations": ["R99"]}, 422),
        ({"scenario": "calm-day", "seed": -1}, 422),
    ],
)
async def test_a_bad_order_starts_nothing(desk: Desk, body: dict[str, Any], status: int) -> None:
    assert (await desk.call("POST", "/v1/runs", body)).status == status
    assert COMMANDS == []
    assert list(desk.testbed.runs.glob("calm-day*")) == []
