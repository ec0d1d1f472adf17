"""Event-loop lag: shows a process that gets no CPU, is paused, or is suspended with its machine.

A timer fires every tenth of a second and compares its due time with the actual time. A simulated clock stands still
while code runs, so there is no lag: the metrics exist, read exactly 0, and no timer is set.
"""

import asyncio

from services.chassis.clock import Clock
from services.chassis.metrics import Metrics

LAG_METRIC = "process_event_loop_lag_seconds"
STALL_METRIC = "process_stall_seconds"
LOOK_S = 0.1
WINDOW_S = 1.0
STALL_FROM_S = 0.25
"""Lag from this value on counts as a stall: two and a half timer periods, or the service time of one request."""
CALENDAR_STEP_S = 1.0
"""A smaller gain of the wall clock is not counted as a suspend: time servers slew by less than this."""


class LoopLag:
    """The lag of the running loop, as metrics."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._window_began = 0.0
        self._largest = self._largest_before = 0.0
        metrics.computed_gauge(
            LAG_METRIC,
            "Largest lag of the event loop in the last one to two seconds; a scrape each second misses none.",
            lambda: [((), self.largest_s())],
        )
        self._stalled = metrics.counter(
            STALL_METRIC, f"Time in which the event loop stood still, in pieces of at least {STALL_FROM_S:g} s."
        )

    def start(self) -> None:
        """Starts the timer; does nothing on a simulated clock."""
        if self._clock.real and self._timer is None:
            self._window_began = self._clock.now()
            self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def largest_s(self) -> float:
        """The largest lag in this window and the previous one, including the current delay of the timer."""
        overdue = self._clock.now() - self._due if self._timer is not None else 0.0
        return max(self._largest, self._largest_before, overdue, 0.0)

    def _arm(self) -> None:
        self._due = self._clock.now() + LOOK_S
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        now = self._clock.now()
        lag_s = max(0.0, now - self._due) + self._slept_s()
        if now - self._window_began >= WINDOW_S:
            self._largest_before, self._largest = self._largest, 0.0
            self._window_began = now
        self._largest = max(self._largest, lag_s)
        self._arm()
        if lag_s >= STALL_FROM_S:
            self._stalled.inc(lag_s)

    def _slept_s(self) -> float:
        """Seconds that the wall clock gained on the loop's clock since the last check; 0 if it was set back."""
        ahead_s = self._clock.wall_ahead_s()
        if abs(ahead_s) < CALENDAR_STEP_S:
            return 0.0
        self._clock.follow_wall()
        return max(0.0, ahead_s)

    def __repr__(self) -> str:
        return f"<LoopLag {self.largest_s():.3f} s, {'looking' if self._timer else 'not looking'}>"
