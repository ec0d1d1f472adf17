"""The clock of a process: monotonic time, and Unix time from it."""

from itertools import count

from services.chassis.clock import Clock


def test_a_moment_has_one_unix_time_however_late_it_is_asked_for() -> None:
    """Spans that touch stay in order on a clock that moves between two readings."""
    ticks = count()
    clock = Clock(lambda: float(next(ticks)), 100.0)
    assert [clock.epoch_of(3.0) for _ in range(2)] == [103.0, 103.0]
    assert [clock.epoch() for _ in range(2)] == [100.0, 101.0]
