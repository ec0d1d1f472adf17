"""A recorded run in the testbed's Prometheus, and an export in the hands of its own tool."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.export.openmetrics import FILE, distinct, write_openmetrics
from chaos.export.tables import ExportedRun
from compose.render import stack
from tests.system.system_desk import PROMETHEUS
from tests.system.system_testbed import PROJECT, Stack
from tests.unit.export.small_run import recorded

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(600)]
ATTEMPTS = "identity_client_attempts_total"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ExportedRun:
    return recorded(tmp_path_factory.mktemp("watch") / "run")


def value(expression: str, at_s: float) -> float | None:
    url = f"{PROMETHEUS}/api/v1/query?query={quote(expression)}&time={at_s:.3f}"
    with urlopen(url, timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def test_promtool_makes_blocks_of_an_export(run: ExportedRun, tmp_path: Path) -> None:
    write_openmetrics(run, tmp_path)
    (tmp_path / "blocks").mkdir()
    tmp_path.chmod(0o777)
    (tmp_path / "blocks").chmod(0o777)
    command = ["docker", "run", "--rm", "--volume", f"{tmp_path}:/run", "--entrypoint", "/bin/promtool"]
    tool = ["prom/prometheus:v2.53.3", "tsdb", "create-blocks-from", "openmetrics", f"/run/{FILE}", "/run/blocks"]
    done = subprocess.run([*command, *tool], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^[0-9A-Z]{26} +\d+ +\d+ +\S+ +(\d+) +\d+ +(\d+)", done.stdout, re.MULTILINE)
    table = run.record.series
    assert sum(int(samples) for samples, _series in rows) == int((~np.isnan(table.values[distinct(table)])).sum())
    assert max(int(series) for _samples, series in rows) == len(table)


def test_a_loaded_run_is_in_prometheus_as_if_it_had_ended_now(testbed: Stack, run: ExportedRun) -> None:
    """`testbed` is up and goes on: its own series stay apart."""
    result = CliRunner().invoke(main, ["watch", str(run.record.folder), "--project", PROJECT])
    assert result.exit_code == 0, result.output
    query = parse_qs(urlsplit(result.output.splitlines()[-1]).query)
    name, end_s = query["var-run"][0], int(query["to"][0]) / 1000
    record = run.record
    for t in (0.0, 20.0, record.end):
        total = record.gauge("identity_queue_length", t, t, how="last")
        assert value(f'sum(identity_queue_length{{run="{name}"}})', end_s - record.end + t) == total
        assert value(f'max(controller_run_seconds{{run="{name}"}})', end_s - record.end + t) == t
    attempts = f'sum(increase({ATTEMPTS}{{run="{name}", layer="sdk"}}[5s]))'
    assert value(attempts, end_s) == pytest.approx(record.delta(ATTEMPTS, 35.0, 40.0, layer="sdk"), rel=0.3)
    live = len([spec for spec in stack().instances() if spec.service == "identity"])
    assert value('count(identity_node_up{run=""})', end_s) == live
    assert value(f'count(identity_node_up{{run="{name}"}})', end_s + 6.0) is None
