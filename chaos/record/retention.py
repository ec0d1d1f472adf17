"""Retention of files under `runs/`, applied whenever a new record is created:

    of the records with generated names, the `AFTERSHOCK_RUNS_MAX` (100) most recently used are kept; 0 removes nothing
    never removed: the target of `latest`, a record used within a day, a folder with a file `keep` in it,
    a folder named by its user (`--out`), and one in use by another command

A record is used when it is created, judged, or read by a command or the console. Cached results of campaigns, matrices
and maps follow the same rule, with a limit of 20 000 files. Removals of records are reported on standard error. A file
that was being written when its process was killed is removed after a day.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from chaos.record.files import PARTIAL
from services.chassis.clock import system_clock
from services.chassis.exit_codes import say
from services.chassis.settings import SettingsError, short

VARIABLE = "AFTERSHOCK_RUNS_MAX"
RUNS_MAX = 100
DIGITS_MAX = 9
RESULTS_MAX = 20_000
USED_WITHIN_S = 86_400.0
LATEST, KEEP = "latest", "keep"
_NAMED_BY_US = re.compile(r".+-\d{8}T\d{6}(-\d+)?")
_GOING = ".removed-"
NAMES_SAID = 3


def runs_max() -> int:
    """The number of records to keep, from the environment; 0 keeps all.

    Raises:
        SettingsError: the variable is not a whole number of at least 0.
    """
    raw = os.environ.get(VARIABLE, str(RUNS_MAX))
    if not (raw.isascii() and raw.isdigit() and len(raw) <= DIGITS_MAX):
        raise SettingsError(f"{VARIABLE}: must be a whole number of at least 0 (got {short(raw)}); 0 keeps everything")
    return int(raw)


def used(path: Path) -> None:
    """Marks a record or result as used now; ignores a read-only disk."""
    with suppress(OSError):
        os.utime(path)


def tidy_runs(root: Path, most: int) -> list[str]:
    """Removes the records beyond the limit; returns their names, oldest first."""
    if not most:
        return []
    _remove_unfinished(root)
    folders = [path for path in root.iterdir() if _NAMED_BY_US.fullmatch(path.name) and _is_record(path)]
    latest = os.path.realpath(root / LATEST)  # `Path.resolve` raises if it points to itself
    gone = [path.name for path in _beyond(folders, most) if os.path.realpath(path) != latest and _remove(path)]
    if gone:
        names = ", ".join(gone[:NAMES_SAID]) + (f" and {len(gone) - NAMES_SAID} more" if len(gone) > NAMES_SAID else "")
        say("aftershock", f"removed {len(gone)} records beyond the limit of {most} ({VARIABLE}): {names}")
    return gone


def tidy_results(folder: Path) -> None:
    """Removes cached results beyond the limit; they are computed again on demand."""
    _remove_unfinished(folder)
    for path in _beyond(list(folder.glob("*.json")), RESULTS_MAX):
        with suppress(OSError):
            path.unlink()


def _remove_unfinished(folder: Path) -> None:
    """Removes what killed processes were writing, if it is as old as no write takes."""
    for path in _beyond(list(folder.glob(f"*.[0-9]*{PARTIAL}")), 0):
        with suppress(OSError):
            path.unlink()


def _is_record(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not (path / KEEP).exists()


def _beyond(paths: Sequence[Path], most: int) -> Iterable[Path]:
    """The least recently used paths beyond `most`, except those used within a day."""
    if len(paths) <= most:
        return []  # without reading the clock, so that it also works inside a simulation
    before = system_clock().epoch() - USED_WITHIN_S
    stamped = []
    for path in paths:
        with suppress(FileNotFoundError):  # another command has just removed it
            stamped.append((path.stat().st_mtime, path))
    stamped.sort()
    return [path for at, path in stamped[: max(0, len(stamped) - most)] if at < before]


def _remove(folder: Path) -> bool:
    """Renames the folder before deleting it, so that no reader finds a partial record."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        going = folder.rename(folder.with_name(f"{_GOING}{folder.name}"))
    except OSError:
        return False
    finally:
        os.close(number)
    shutil.rmtree(going, ignore_errors=True)
    return True
