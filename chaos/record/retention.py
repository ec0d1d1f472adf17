"""Which files under `runs/` stay. Every new record tidies up behind itself, by one rule:

    of the records that were named by us, the `AFTERSHOCK_RUNS_MAX` (100) used last stay; 0 removes nothing
    never removed: what `latest` points at, what was used within a day, a folder with a file `keep` in it,
    a folder that was named by its user (`--out`), and one that another command is working in

Using a record is making it, judging it, or reading it through a command or the console. Kept results of campaigns,
matrices and maps follow the same rule, with 20 000 files. What is removed is said on standard error.
"""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from services.chassis.clock import system_clock
from services.chassis.settings import SettingsError

VARIABLE = "AFTERSHOCK_RUNS_MAX"
RUNS_MAX = 100
RESULTS_MAX = 20_000
USED_WITHIN_S = 86_400.0
LATEST, KEEP = "latest", "keep"
_NAMED_BY_US = re.compile(r".+-\d{8}T\d{6}(-\d+)?")
_GOING = ".removed-"
NAMES_SAID = 3


def runs_max() -> int:
    """
    Raises:
        SettingsError: naming the variable, when it is no whole number of at least 0.
    """
    raw = os.environ.get(VARIABLE, str(RUNS_MAX))
    if not (raw.isascii() and raw.isdigit()):
        raise SettingsError(f"{VARIABLE}: must be a whole number of at least 0 (got {raw!r}); 0 keeps everything")
    return int(raw)


def used(path: Path) -> None:
    """Somebody works with this record or result just now; a read-only disk is no reason to fail."""
    with suppress(OSError):
        os.utime(path)


def tidy_runs(root: Path, most: int) -> list[str]:
    """Removes records beyond the rule; returns their names, oldest first."""
    if not most:
        return []
    folders = [path for path in root.iterdir() if _NAMED_BY_US.fullmatch(path.name) and _is_record(path)]
    latest = (root / LATEST).resolve()
    gone = [path.name for path in _beyond(folders, most) if path.resolve() != latest and _remove(path)]
    if gone:
        names = ", ".join(gone[:NAMES_SAID]) + (f" and {len(gone) - NAMES_SAID} more" if len(gone) > NAMES_SAID else "")
        print(f"removed {len(gone)} old of more than {most} records ({VARIABLE}): {names}", file=sys.stderr)
    return gone


def tidy_results(folder: Path) -> None:
    """Removes kept results beyond the rule: they would be computed again when asked for."""
    for path in _beyond(list(folder.glob("*.json")), RESULTS_MAX):
        with suppress(OSError):
            path.unlink()


def _is_record(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not (path / KEEP).exists()


def _beyond(paths: Sequence[Path], most: int) -> Iterable[Path]:
    """The least recently used ones beyond `most`, without those used within a day."""
    if len(paths) <= most:
        return []  # no time is read, so that a simulation can make a folder too
    before = system_clock().epoch() - USED_WITHIN_S
    stamped = []
    for path in paths:
        with suppress(FileNotFoundError):  # another command has just removed it
            stamped.append((path.stat().st_mtime, path))
    stamped.sort()
    return [path for at, path in stamped[: max(0, len(stamped) - most)] if at < before]


def _remove(folder: Path) -> bool:
    """Moves it out of sight first, so that nobody ever finds half a record."""
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
