"""The only module of the services that reads time.

There are two readings. `now()` is monotonic and drives policies, deadlines and queues. `epoch()` is calendar time, on
which processes agree; it goes into tokens, HTTP dates and event lines.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class Clock:
    """A monotonic clock and the calendar time derived from it.

    `monotonic` returns seconds from an arbitrary start; `epoch_s` is the Unix time at `monotonic() == 0`. `wall` reads
    the machine's wall clock; a simulated clock has none.
    """

    __slots__ = ("_epoch_s", "_wall", "now")

    def __init__(self, monotonic: Callable[[], float], epoch_s: float, wall: Callable[[], float] | None = None) -> None:
        self.now = monotonic
        self._epoch_s = epoch_s
        self._wall = wall

    @property
    def real(self) -> bool:
        """Whether time passes while code runs and while the machine is suspended; False for a simulated clock."""
        return self._wall is not None

    def epoch(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._epoch_s + self.now()

    def epoch_of(self, moment: float) -> float:
        """Seconds since 1970-01-01 UTC at `moment`, a value of `now()`: equal moments are equal there, too."""
        return self._epoch_s + moment

    def wall_ahead_s(self) -> float:
        """Seconds by which the machine's wall clock is ahead of `epoch()`; 0 for a simulated clock.

        The monotonic clock stops while the machine is suspended; the wall clock does not.
        """
        return 0.0 if self._wall is None else self._wall() - self.epoch()

    def follow_wall(self) -> None:
        """Sets `epoch()` to the machine's wall clock: leases and tokens must agree with processes that start later."""
        self._epoch_s += self.wall_ahead_s()

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.epoch(), tz=UTC)

    def __repr__(self) -> str:
        return f"<Clock {self.now():.3f}s, {self.utc():%Y-%m-%dT%H:%M:%SZ}>"


def system_clock() -> Clock:
    """The machine's clock; its `epoch()` jumps only when `follow_wall` is called."""
    return Clock(time.monotonic, time.time() - time.monotonic(), time.time)


def iso(epoch_s: float) -> str:
    """ISO 8601 with seven decimals, as Azure writes times in bodies."""
    moment = datetime.fromtimestamp(epoch_s, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"


def http_date(epoch_s: float) -> str:
    """RFC 9110 date, e.g. `Mon, 02 Feb 2026 18:03:00 GMT`."""
    return datetime.fromtimestamp(epoch_s, tz=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def utc_text(epoch_s: float) -> str:
    """ISO 8601 in whole seconds, e.g. `2026-02-02T18:03:00Z`."""
    return datetime.fromtimestamp(epoch_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_http_date(value: str) -> float | None:
    """An HTTP date as Unix time; None when it is not a valid date. A date without a zone is UTC."""
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
