"""The same matrix on a Dask cluster: a scheduler and a worker process on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies.engine import cluster
from chaos.studies.matrix import command
from chaos.studies.matrix.job import MatrixRun, perform_apart
from compose.runtime import RuntimeUnavailable
from tests.unit.matrix.toy_world import SCENARIO, world

TINY = """
name: tiny
title: One region on a quiet day
starts_at: 2026-02-02T18:03:00Z
warmup_s: 24
duration_s: 1
regions:
  - {name: eastus, display: East US, role: east, identity_nodes: 1}
load:
  eastus: {token_rate_per_s: 3, job_rate_per_s: 0.2}
"""
pytestmark = pytest.mark.real_time


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster  # only the worker that gets this file has to load it

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as workers:
        yield workers.scheduler_address


def test_the_command_computes_every_cell_on_the_cluster_and_then_none(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "perform_apart", world)
    arguments = ["matrix", SCENARIO, "--mitigations", "R1,R2", "--seeds", "2", "--scheduler", scheduler, "--out", "out"]
    first = CliRunner().invoke(main, arguments, catch_exceptions=False)
    again = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "10 runs computed" in first.stdout  # none, R1, R2, R1 with R2, the publisher's seven; two seeds
    assert "0 runs computed" in again.stdout
    assert (tmp_path / "out" / "matrix.html").is_file()


def test_a_worker_carries_out_a_real_run(scheduler: str, tmp_path: Path) -> None:
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(TINY)
    with cluster(scheduler) as executor:
        found = executor.submit(perform_apart, MatrixRun(str(scenario), 1)).result()
    assert found.problem == ""
    assert found.counted_until_t == 1.0
    assert found.values["failed_operations"] == 0


def test_without_an_answer_at_the_address_it_is_refused_in_one_sentence() -> None:
    with (
        pytest.raises(RuntimeUnavailable, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1"),
        cluster("tcp://127.0.0.1:1", timeout_s=0.2),
    ):
        pass
