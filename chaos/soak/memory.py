"""Resident memory that follows what is held, and not the peaks of the past.

Python's own allocator gives a megabyte back when no object in it lives any more, the C library keeps what was freed
for the next request, and garbage in cycles waits for a full collection. After a collapse of all services in one process
each of them shows its peak for hours, which hides a leak as well as it looks like one.
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


def resident_mb() -> float:
    """Resident memory of this process in MB; without /proc, its peak."""
    try:
        pages = int(STATM.read_text().split()[1])
    except OSError:
        peak: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak) / (MB if sys.platform == "darwin" else 1e3)
    return pages * resource.getpagesize() / MB
