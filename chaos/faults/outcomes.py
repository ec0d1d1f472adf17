"""What comes of starting and ending faults."""

from typing import NamedTuple


class UnknownFault(LookupError):
    """No fault of that id is active."""


class StoreSilent(RuntimeError):
    """The store does not answer.

    No fault can be started without it: a successor could not find and revert the fault.
    """


class EndedFaults(NamedTuple):
    """How many faults were ended, and which could not be, as `id: reason`."""

    ended: int
    unmet: tuple[str, ...]
