"""What runs below a process, read from the kernel."""

import time
from pathlib import Path

GONE_WITHIN_S = 20.0


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(task).split()):
            found |= {child} | descendants(child)
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    return {pid for pid in pids if _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[:1] not in ([], ["Z"])}


def left_after(pids: set[int], within_s: float = GONE_WITHIN_S) -> set[int]:
    """Those that have not ended by then."""
    until = time.monotonic() + within_s
    while (left := alive(pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
