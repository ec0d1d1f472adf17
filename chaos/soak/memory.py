"""Memory that is held, and resident memory that is as little above it as can be.

Python's own allocator gives a megabyte back when no object in it lives any more, the C library keeps what was freed
for the next request, and garbage in cycles waits for a full collection. After a collapse of all services in one process
each of them shows its peak for hours, which hides a leak as well as it looks like one. With the C library's allocator
for everything, glibc tells to the byte what is held.
"""

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ALLOCATOR = "PYTHONMALLOC"
PLAIN = "malloc"
MB = 1e6
STATM = Path("/proc/self/statm")


def with_plain_allocator(environment: Mapping[str, str]) -> None:
    """Starts the command again, in this process, with the C library's allocator, unless an allocator was chosen."""
    if ALLOCATOR not in environment:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environment, ALLOCATOR: PLAIN})


def release() -> None:
    """Collects garbage, and gives free memory back to the system where the C library can do that (glibc)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of glibc (mallinfo(3)): sizes in bytes."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def held_mb() -> float | None:
    """What all objects of this process hold in MB; None where glibc does not manage all of them."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None or sys.getallocatedblocks():  # Python counts the blocks of its own allocator only
        return None
    ask.restype = _Mallinfo2
    found = ask()
    return float(found.uordblks + found.hblkhd) / MB


def resident_mb() -> float:
    """Resident memory of this process in MB; without /proc, its peak."""
    try:
        pages = int(STATM.read_text().split()[1])
    except OSError:
        peak: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak) / (MB if sys.platform == "darwin" else 1e3)
    return pages * resource.getpagesize() / MB
