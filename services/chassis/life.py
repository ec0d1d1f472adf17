"""Since when an instance serves, and how it crashes by itself. A service that can do so sets `crash`."""

from collections.abc import Callable

from services.chassis.clock import Clock


class Life:
    """The life of one instance. A restart after a crash begins another one."""

    __slots__ = ("_clock", "crash", "since_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.since_s = clock.epoch()
        """Unix time at which it began to serve: its start, or its last restart."""
        self.crash: Callable[[str], None] | None = None
        """Crashes the instance for the given reason; None if the service has no crash of its own."""

    def begin_again(self) -> None:
        """Called at a restart."""
        self.since_s = self._clock.epoch()

    def __repr__(self) -> str:
        return f"<Life since {self.since_s:.1f}, {'can' if self.crash else 'cannot'} crash>"
