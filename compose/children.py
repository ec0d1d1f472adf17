"""Child processes.

Each runs in its own session, so that Ctrl-C in a terminal reaches only the parent, and is killed when the parent ends.
Python children do not import modules from the working directory.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from compose import with_parent

POLL_S = 0.02
STOP_TIMEOUT_S = 8.0
LAST_LINES = 5


def python(*arguments: str) -> list[str]:
    """A command that runs this interpreter. `-P` keeps a user's file `random.py` from shadowing the module `random`."""
    return [sys.executable, "-P", *arguments]


def bound(command: Sequence[str]) -> list[str]:
    """The command, wrapped so that it is killed when this process ends. Start it from a thread that lives as long."""
    return [sys.executable, "-I", "-S", str(Path(with_parent.__file__)), str(os.getpid()), *command]


class Child:
    """A running child process; its output is appended to `log`. The constructor starts it."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                bound(command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"<Child {self.name} {self.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; negative for a signal, None while the process runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal; no operation after the process has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> None:
        """Wait until the process has ended.

        Polls, because an event loop is notified only of children it started itself.
        """
        while self.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    def exit_summary(self) -> str:
        """The exit status, and the last lines of the output."""
        code = self.returncode
        if code is None:
            ended = "is still running"
        else:
            ended = f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").splitlines()
            output = " | ".join(line.strip() for line in lines[-LAST_LINES:] if line.strip())
            return f"{self.name} {ended}; last output: {output or 'none'}"
        return f"{self.name} {ended}"


async def end(children: Iterable[Child]) -> None:
    """Stop children: SIGTERM, a grace period of `STOP_TIMEOUT_S`, SIGKILL. If interrupted, SIGKILL at once."""
    alive = [child for child in children if child.returncode is None]
    try:
        for child in alive:
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)  # a stopped process handles SIGTERM only after SIGCONT
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                for child in alive:
                    await child.wait()
    finally:
        for child in alive:
            child.kill()
        for child in alive:
            child._process.wait()
