"""Child processes of ours: in a session of their own, so that a terminal's Ctrl-C reaches the parent alone, and with a
life that ends with the parent's. Python among them does not look for modules in the working folder.
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
    """A command that runs this interpreter. `-P`: a file `random.py` of the user's is not the module `random`."""
    return [sys.executable, "-P", *arguments]


def bound(command: Sequence[str]) -> list[str]:
    """The command, made to end with this process; to be started from a thread that stays."""
    return [sys.executable, "-I", "-S", str(Path(with_parent.__file__)), str(os.getpid()), *command]


class Child:
    """A running child; its output goes to `log`. Made in one step, so that whoever starts one knows it."""

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
        """None while it runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Does nothing when it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> None:
        """Until it has ended. Asked again and again: an event loop hears only of children that it started itself."""
        while self.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)

    def last_words(self) -> str:
        """How it ended, and the last lines of what it said."""
        code = self.returncode
        if code is None:
            ended = "is still running"
        else:
            ended = f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").splitlines()
            said = " | ".join(line.strip() for line in lines[-LAST_LINES:] if line.strip())
            return f"{self.name} {ended}; its last words: {said or 'none'}"
        return f"{self.name} {ended}"


async def end(children: Iterable[Child]) -> None:
    """SIGTERM, time to finish, SIGKILL. Whatever interrupts this kills the rest at once."""
    alive = [child for child in children if child.returncode is None]
    try:
        for child in alive:
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)  # a paused process would never see the one before
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                for child in alive:
                    await child.wait()
    finally:
        for child in alive:
            child.kill()
        for child in alive:
            child._process.wait()
