"""Instances as forks of one process that has imported the services: each import of them takes a second of CPU time.

What a fork is and does is the same: a process of its own with sockets, environment, log file and exit code. That the
local runtime starts programs is proven in `tests/contract/test_local_faults.py`.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from compose import with_parent
from compose.children import Child, python
from compose.topology import MODULES

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["services.chassis.process", "compose.embedded_redis", "uvloop", *(f"{module}.app" for module in MODULES.values())]
)


class ForkedChild(Child):
    """A child for a command that is `python("-m", MODULE, …)`."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        *interpreter, module = python("-m", "")
        *given, module = command[: len(interpreter) + 1]
        assert given == interpreter, "not a module"
        self.name, self._log = name, log
        arguments = (module, list(command[len(given) + 1 :]), str(log), dict(environment or os.environ))
        forked = FORKS.Process(target=_run, args=arguments, daemon=True)
        forked.start()
        self._process: Any = _Popen(forked)


class _Popen:
    """A forked process with those methods of `subprocess.Popen` that `Child` calls."""

    def __init__(self, forked: BaseProcess) -> None:
        assert forked.pid is not None
        self.pid = forked.pid
        self._forked = forked

    def poll(self) -> int | None:
        return self._forked.exitcode

    def wait(self) -> None:
        self._forked.join()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since, as in `subprocess`
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(module: str, arguments: list[str], log: str, environment: dict[str, str]) -> None:
    with_parent.end_with(os.getppid())
    os.setsid()
    with open(log, "ab", buffering=0) as file, open(os.devnull, "rb") as nothing:
        for target, source in ((0, nothing), (1, file), (2, file)):
            os.dup2(source.fileno(), target)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
