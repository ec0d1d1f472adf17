"""Runs a command that is killed when its parent ends for any reason: `python with_parent.py PARENT COMMAND …`.

This includes a parent killed by SIGKILL and a command stopped by SIGSTOP (a frozen node, a stalled Redis): the kernel
sends the SIGKILL. The module imports nothing of the project, so that it starts in a few milliseconds.

For the kernel the parent is the *thread* that started the child: start children from a thread that lives as long.
"""

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1
POLL_S = 0.5


def end_with(parent: int) -> None:
    """Have this process killed when its parent ends; kill it now if `parent` has already ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Fallback without PR_SET_PDEATHSIG. `exec` ends this thread; after it only an orderly stop by the parent works."""
    while os.getppid() == parent:
        threading.Event().wait(POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main(parent: int, command: list[str]) -> None:
    end_with(parent)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
