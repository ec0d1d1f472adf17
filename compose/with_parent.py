"""Runs a command that ends with its parent, whatever ends that one: `python with_parent.py PARENT COMMAND …`.

Also a parent that was killed by SIGKILL, and also a command that is stopped (a frozen node, a stalled Redis): the
kernel sends SIGKILL, which needs no one's help. It imports nothing of ours, so that it costs a few milliseconds.

The kernel means the *thread* that started the child. Start children from a thread that lives as long as they shall.
"""

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1
POLL_S = 0.5


def end_with(parent: int) -> None:
    """From now on this process is killed when its parent ends; at once if `parent` has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Where the kernel has no such signal. `exec` ends this thread: then only an orderly end of the parent counts."""
    while os.getppid() == parent:
        threading.Event().wait(POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main(parent: int, command: list[str]) -> None:
    end_with(parent)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
