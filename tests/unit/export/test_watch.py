"""What `aftershock watch` gives to Prometheus: every series of the run, its clock and its alerts, on today's axis."""

import io
import math
import tarfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from click.testing import CliRunner

from chaos.cli import main
from chaos.export.tables import ExportedRun
from chaos.record.series import SeriesTable
from chaos.scenarios.times import utc
from chaos.watch import blocks, command
from chaos.watch.blocks import PROMTOOL, load, visible
from chaos.watch.command import DASHBOARDS, dashboard_url
from chaos.watch.series import PlacedRun
from compose.docker_engine import DockerContainer, beside
from compose.runtime import RuntimeUnavailable
from services.chassis.http import HttpClient
from tests.unit.export.small_run import SMALL_RUN

pytestmark = pytest.mark.xdist_group(SMALL_RUN)
ENDED = 1_800_000_000.0
"""15 January 2027, 08:00:00 UTC."""
PROMETHEUS = DockerContainer("abc", "prometheus", "running", host_ports={9090: 29090})


@pytest.fixture(scope="module")
def placed(run: ExportedRun) -> PlacedRun:
    return PlacedRun.ending(run.record, ENDED)


@pytest.fixture(scope="module")
def table(placed: PlacedRun) -> SeriesTable:
    return placed.table()


def one(table: SeriesTable, name: str, **where: str) -> dict[float, float]:
    """The values by τ of the one series with this name and these labels."""
    labels, values = table.matrix(name, where)
    assert len(labels) == 1, (name, where, labels)
    return {t: v for t, v in zip(table.times.tolist(), values[:, 0].tolist(), strict=True) if v == v}


def test_every_series_of_the_record_is_there_with_the_label_run(placed: PlacedRun, table: SeriesTable) -> None:
    record = placed.record.series
    assert table.names[: len(record)] == record.names
    assert np.array_equal(table.values[:, : len(record)], record.values, equal_nan=True)
    assert {labels["run"] for labels in table.labels} == {placed.name}
    for had, has in zip(record.labels, table.labels, strict=False):
        assert has == {"job": "watch", "run": placed.name, **{name: value for name, value in had.items() if value}}


def test_the_run_ended_just_now_and_its_clock_tells_incident_time(placed: PlacedRun, table: SeriesTable) -> None:
    assert placed.epoch_ms(placed.record.end) == ENDED * 1000
    clock = one(table, "controller_run_seconds")
    assert clock == {t: t for t in np.arange(-12.0, 41.0).tolist()}
    there = one(table, "controller_incident_timestamp_seconds")
    assert there[40.0] == utc("2026-02-02T18:43:00Z").timestamp()


def test_actions_faults_and_alerts_are_worded_as_in_the_testbed(placed: PlacedRun, table: SeriesTable) -> None:
    action = one(table, "controller_event_timestamp_seconds", kind="action", id="T13")
    assert action == dict.fromkeys(np.arange(18.0, 41.0).tolist(), ENDED - 40.0 + 18.0)
    assert min(one(table, "controller_run_phase", phase="calm")) == 0.0
    assert min(one(table, "controller_run_phase", phase="identity nodes: East US +1")) == 18.0
    crash = one(table, "controller_faults_active", kind="crash")
    assert [crash[t] for t in (20.0, 21.0, 25.0, 26.0)] == [0.0, 1.0, 1.0, 0.0]
    fired = placed.record.first_event("alert", state="firing")
    assert fired is not None
    alert = one(table, "ALERTS", alertname=fired["name"], region=fired["region"])
    assert min(alert.items()) == (math.ceil(fired["t"]), 1.0)
    labels, _ = table.matrix("ALERTS", {"alertname": fired["name"], "region": fired["region"]})
    assert (labels[0]["alertstate"], labels[0]["severity"]) == ("firing", fired["severity"])


def test_an_alert_ends_where_it_was_resolved(placed: PlacedRun) -> None:
    about = {"kind": "alert", "name": "A", "region": "eastus", "severity": "page", "service": "identity"}
    events = [{"t": 3.0, "state": "firing", **about}, {"t": 7.5, "state": "resolved", **about}]
    record = type(placed.record)(placed.record.plan, events, placed.record.series)
    alert = one(PlacedRun.ending(record, ENDED).table(), "ALERTS", alertname="A")
    assert alert == dict.fromkeys((3.0, 4.0, 5.0, 6.0, 7.0), 1.0)


def test_a_run_is_named_by_its_folder_and_the_second_it_was_placed_at(placed: PlacedRun) -> None:
    assert placed.name == "run at 08:00:00"


def test_the_links_show_the_whole_run_and_choose_it(placed: PlacedRun) -> None:
    url = urlsplit(dashboard_url(placed, "http://127.0.0.1:3000", DASHBOARDS[0]))
    assert url.path == "/d/aftershock-incident"
    assert parse_qs(url.query) == {
        "var-run": ["run at 08:00:00"],
        "from": [f"{(ENDED - 52) * 1000:.0f}"],
        "to": [f"{ENDED * 1000:.0f}"],
    }


# Prometheus


class Engine:
    """Keeps what it is told to run."""

    def __init__(self, containers: Sequence[DockerContainer] = (PROMETHEUS,)) -> None:
        self._containers = list(containers)
        self.ran: list[tuple[Sequence[str], str, dict[str, bytes], int]] = []

    async def containers(self) -> list[DockerContainer]:
        return self._containers

    async def run_beside(self, neighbour: DockerContainer, command: Sequence[str], tar: IO[bytes], folder: str) -> None:
        assert neighbour is PROMETHEUS
        with tarfile.open(fileobj=io.BytesIO(tar.read())) as archive:
            members = archive.getmembers()
            files = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
        self.ran.append((command, folder, files, members[0].mode))

    async def close(self) -> None:
        self._containers = []


@pytest.mark.real_time
async def test_promtool_makes_blocks_of_the_text_beside_prometheus(placed: PlacedRun) -> None:
    engine = Engine()
    await load(placed, PROMETHEUS, engine)  # type: ignore[arg-type]
    (ran, folder, files, mode) = engine.ran[0]
    assert ran == PROMTOOL
    assert (folder, mode) == ("/tmp", 0o644)
    text = files["run.openmetrics.txt"].decode()
    assert text.endswith("# EOF\n")
    labels = f'instance="controller",job="watch",run="{placed.name}",service="controller"'
    assert f"controller_run_seconds{{{labels}}} 40.0 1800000000" in text.splitlines()


def test_the_container_beside_prometheus_has_its_volumes_and_no_powers() -> None:
    config = beside(PROMETHEUS, "prom/prometheus", "aftershock", PROMTOOL)
    assert config["HostConfig"]["VolumesFrom"] == ["abc"]
    assert config["HostConfig"]["NetworkMode"] == "none"
    assert config["HostConfig"]["CapDrop"] == ["ALL"]
    assert [*config["Entrypoint"], *config["Cmd"]] == list(PROMTOOL)
    assert config["Labels"]["com.docker.compose.service"] == "prometheus-helper"


class Answers:
    """A Prometheus that finds the run when it is asked for the second time."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def query(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        result = [{"value": [0, "1"]}] if len(self.asked) > 1 else []
        return web.json_response({"data": {"result": result}})


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, Answers]]:
    answers, application = Answers(), web.Application()
    application.router.add_get("/api/v1/query", answers.query)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", answers
    await runner.cleanup()


@pytest.mark.real_time
async def test_it_waits_until_prometheus_has_found_the_blocks(
    placed: PlacedRun, prometheus: tuple[str, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ASK_EVERY_S", 0.0)
    url, answers = prometheus
    http = HttpClient(aiohttp.ClientSession())
    try:
        await visible(placed, url, http)
        monkeypatch.setattr(blocks, "TRIES", 0)
        with pytest.raises(RuntimeUnavailable, match="has not found the blocks of the run in 0 s"):
            await visible(placed, url, http)
        monkeypatch.setattr(blocks, "TRIES", 1)
        with pytest.raises(RuntimeUnavailable, match=r"Prometheus at http://127\.0\.0\.1:1: refused"):
            await visible(placed, "http://127.0.0.1:1", http)
    finally:
        await http.close()
    assert answers.asked[0] == {"query": 'count({run="run at 08:00:00"})', "time": "1800000000.000"}
    assert len(answers.asked) == 2


# The command


def _refused(monkeypatch: pytest.MonkeyPatch, folder: Path | None, engine: Engine, said: str) -> None:
    monkeypatch.setattr(command, "DockerEngine", lambda _project: engine)
    result = CliRunner().invoke(main, ["watch", str(folder)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
    assert said in result.stderr


@pytest.mark.real_time
def test_bad_input_is_one_line_and_exit_code_2(
    placed: PlacedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = placed.record.folder
    _refused(monkeypatch, tmp_path, Engine(), "not a run: plan.json is missing")
    _refused(monkeypatch, tmp_path / "none", Engine(), "does not exist")
    _refused(monkeypatch, folder, Engine([]), "no Prometheus of project 'aftershock' runs; start the testbed: make up")
    dead = DockerContainer("abc", "prometheus", "exited")
    _refused(monkeypatch, folder, Engine([dead]), "no Prometheus of project 'aftershock' runs")
    monkeypatch.setattr(command, "LONGEST_S", 51.0)
    _refused(monkeypatch, folder, Engine(), f"{folder}: 52 s long; Prometheus keeps no more than 51 s of a run")
