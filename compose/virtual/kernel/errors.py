"""What the virtual runtime refuses to do, said loudly.

All of them are RuntimeErrors, so a service may catch one by accident (`except Exception` around a retry);
`VirtualLoop` therefore keeps every `LeftTheSimulation` it raised, and `VirtualWorld.run` raises it again
when the run is over.
"""

from __future__ import annotations


class LeftTheSimulation(RuntimeError):
    """Code inside the simulation asked for something real: a socket, a thread, a clock, randomness.

    Such a call would make the run depend on the machine it runs on, so it is refused by name.
    """

    def __init__(self, call: str, instead: str = "") -> None:
        self.call = call
        hint = f"; use {instead}" if instead else ""
        super().__init__(f"{call} leaves the simulation{hint}")


class Livelock(RuntimeError):
    """The loop turned too often at one instant: some poll has no delay, and virtual time cannot move."""


class SleepForever(RuntimeError):
    """Nothing is scheduled and the main task is not done: everybody waits for somebody (a deadlock)."""
