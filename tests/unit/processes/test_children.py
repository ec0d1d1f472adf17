"""A child process ends with its parent, gets no terminal signals, imports the right modules, and reports its death."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compose import local
from compose.children import Child, bound, end, python
from compose.local import LocalRuntime
from compose.runtime import RuntimeUnavailable
from compose.topology import Topology
from tests.unit.processes.process_watch import left_after

pytestmark = pytest.mark.real_time

PARENT = """
import sys, time
from pathlib import Path
from compose.children import Child, python
child = Child("child", python("-c", "import time; print('up', flush=True); time.sleep(600)"), Path(sys.argv[1]))
while "up" not in Path(sys.argv[1]).read_text():
    time.sleep(0.02)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_sigkill_of_the_parent_leaves_no_child(stopped: bool, tmp_path: Path) -> None:
    """Nor one that is stopped, as a frozen node is, and could do nothing itself."""
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path / "log"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if stopped:
            os.kill(child, signal.SIGSTOP)
        parent.kill()
    assert left_after({child}) == set()


def test_a_child_whose_parent_ended_before_it_could_listen_ends_at_once() -> None:
    wrong = [word if word != str(os.getpid()) else "1" for word in bound(["sleep", "600"])]
    assert subprocess.run(wrong, timeout=30).returncode == -signal.SIGKILL


async def test_a_child_gets_no_signals_from_the_terminal(tmp_path: Path) -> None:
    child = Child("child", ["sleep", "600"], tmp_path / "log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await end([child])
    assert child.returncode == -signal.SIGTERM


async def test_a_stopped_child_is_ended_too(tmp_path: Path) -> None:
    child = Child("child", ["sleep", "600"], tmp_path / "log")
    child.send_signal(signal.SIGSTOP)
    await end([child])
    assert child.returncode == -signal.SIGTERM


async def test_a_users_file_does_not_shadow_a_standard_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('this is not random')")
    monkeypatch.chdir(tmp_path)
    child = Child("child", python("-m", "compose.embedded_redis", "no port"), tmp_path / "log")
    await child.wait()
    assert "this is not random" not in child.exit_summary()
    assert "invalid literal for int() with base 10: 'no port'" in child.exit_summary()


async def test_a_child_that_dies_at_start_is_reported_at_once_with_its_last_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "redis_command", lambda _port: python("-c", "raise SystemExit('no memory for a store')"))
    runtime = LocalRuntime(tmp_path)
    with pytest.raises(RuntimeUnavailable, match=r"^Redis exited with code 1; last output: no memory for a store"):
        await runtime.start(Topology(()), {}, 1, lambda _event: None)
    await runtime.stop()


async def test_a_child_that_a_signal_ended_says_which(tmp_path: Path) -> None:
    child = Child("node", ["sleep", "600"], tmp_path / "log")
    child.kill()
    await child.wait()
    assert child.exit_summary() == "node was killed by SIGKILL; last output: none"
