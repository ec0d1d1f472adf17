"""The pool of processes: a fresh one a run, and none left behind."""

import multiprocessing
import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies.matrix import command
from chaos.studies.pool import processes
from tests.unit.matrix.children import wait_for_ever
from tests.unit.matrix.toy_world import SCENARIO


def test_every_run_has_a_process_of_its_own() -> None:
    with processes(1) as pool:
        pids = {pool.submit(os.getpid).result() for _ in range(2)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def interrupted_once_begun(started: Path) -> None:
    """Ctrl-C while one child runs and another run waits for it."""
    with processes(1) as pool:
        for _ in range(2):
            pool.submit(wait_for_ever, str(started))
        started.read_bytes()  # until the child has opened it
        assert len(multiprocessing.active_children()) == 1
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_processes_at_once(tmp_path: Path) -> None:
    os.mkfifo(started := tmp_path / "started")
    with pytest.raises(KeyboardInterrupt):
        interrupted_once_begun(started)
    assert multiprocessing.active_children() == []


def ended_while_a_process_starts(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look at the children finds none, as when the pool is just starting one."""
    real, misses = multiprocessing.active_children, iter([1])
    with processes(1) as pool:
        pool.submit(wait_for_ever, str(started))
        started.read_bytes()
        monkeypatch.setattr(multiprocessing, "active_children", lambda: [] if next(misses, 0) else real())
        raise KeyboardInterrupt


def test_a_process_that_starts_while_the_pool_ends_is_killed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(started := tmp_path / "started")
    with pytest.raises(KeyboardInterrupt):
        ended_while_a_process_starts(started, monkeypatch)
    assert multiprocessing.active_children() == []


def test_ctrl_c_is_exit_code_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "make_matrix", interrupted)
    result = CliRunner().invoke(main, ["matrix", SCENARIO, "--mitigations", "R1", "--jobs", "1"])
    assert result.exit_code == 130
    assert "the same command resumes from there" in result.stdout


def test_the_environment_is_as_it_was_before_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with processes(1) as pool:
        assert pool.submit(os.getenv, "PYTHONSAFEPATH").result() == "1"
    assert "PYTHONSAFEPATH" not in os.environ
    monkeypatch.setenv("PYTHONSAFEPATH", "yes")
    with processes(1):
        pass
    assert os.environ["PYTHONSAFEPATH"] == "yes"


def test_a_process_of_the_pool_can_be_terminated(tmp_path: Path) -> None:
    """A pool that breaks does so and waits: a process that ignored it would make the command hang."""
    os.mkfifo(started := tmp_path / "started")
    with processes(1) as pool:
        waiting = pool.submit(wait_for_ever, str(started))
        started.read_bytes()
        (process,) = multiprocessing.active_children()
        process.terminate()
        assert isinstance(waiting.exception(), BrokenProcessPool)


def fail_while_others_run(started: Path) -> None:
    with processes(2) as pool:
        failed = pool.submit(divmod, 1, 0)
        for _ in range(4):
            pool.submit(wait_for_ever, str(started))
        failed.result()


def test_an_error_of_one_run_ends_the_others(tmp_path: Path) -> None:
    """Those that the pool started meanwhile in place of the first, too."""
    os.mkfifo(started := tmp_path / "started")
    with pytest.raises(ZeroDivisionError):
        fail_while_others_run(started)
    assert multiprocessing.active_children() == []
