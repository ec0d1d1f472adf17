"""Temporary folders. A SIGKILL leaves one behind, which the next process removes: its lock is held by nobody."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "aftershock-"
LOCK = ".in-use"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, removed at the end of the block; those of killed processes are removed before it."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        new = Path(name) / f"{LOCK}.new"
        with new.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(new.with_name(LOCK))  # not before it is locked: another process could take it for abandoned
            yield Path(name)


def _remove_abandoned(root: Path) -> None:
    for lock in root.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError):  # in use, somebody else's, or just removed
            _remove_unlocked(lock)


def _remove_unlocked(lock: Path) -> None:
    if lock.parent.stat().st_uid != os.getuid():
        return
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent)
