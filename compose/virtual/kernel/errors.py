"""Errors of the virtual runtime.

All are RuntimeErrors, so a service may catch one by accident (`except Exception` around a retry). `VirtualLoop`
therefore keeps every `LeftTheSimulation` it raised, and `VirtualWorld.run` raises the first one again at the end of the
run.
"""

from __future__ import annotations


class LeftTheSimulation(RuntimeError):
    """Code inside the simulation used a real resource: a socket, a thread, a clock, randomness.

    Such a call would make the run depend on the machine, so it is refused; the message names the call.
    """

    def __init__(self, call: str, instead: str = "") -> None:
        self.call = call
        hint = f"; use {instead}" if instead else ""
        super().__init__(f"{call} leaves the simulation{hint}")


class Livelock(RuntimeError):
    """Too many loop turns at one instant: a poll without a delay keeps virtual time from advancing."""


class SleepForever(RuntimeError):
    """Deadlock: nothing is scheduled and the main task is not done, so every task waits for another."""
