"""Open-loop arrivals: a Poisson process on an absolute schedule, independent of how earlier requests fared.

    next = previous + Exp(1) / rate;  on a change of rate the remaining time is scaled by old rate / new rate

The rescaling is exact (a Poisson process in transformed time) and draws no random number, so it does not change later
draws. If the process was busy past several planned times, all of these are sent at once, each with its planned time. In
real time uvloop's timers have millisecond resolution, so an arrival may also be a millisecond early.
"""

import asyncio
from collections.abc import Callable
from random import Random

from services.chassis.clock import Clock

OnArrival = Callable[[float, float], None]


class PoissonSchedule:
    """The planned time of the next arrival, in clock seconds; None while the rate is zero."""

    __slots__ = ("_rng", "_units", "next_at", "rate_per_s")

    def __init__(self, rng: Random, rate_per_s: float, start_at: float) -> None:
        self._rng = rng
        self._units = rng.expovariate(1.0)
        """Remaining time until the next arrival, in mean gaps; valid only while the rate is zero."""
        self.rate_per_s = 0.0
        self.next_at: float | None = None
        self.set_rate(rate_per_s, start_at)

    def advance(self) -> None:
        """Plans the arrival after the one at `next_at`."""
        if self.next_at is not None:
            self.next_at += self._rng.expovariate(1.0) / self.rate_per_s

    def set_rate(self, rate_per_s: float, now: float) -> None:
        """Changes the rate; an arrival that is already due stays due."""
        if rate_per_s < 0:
            raise ValueError(f"rate_per_s must not be negative, not {rate_per_s}")
        if self.next_at is not None:
            self._units = (self.next_at - now) * self.rate_per_s
        if self._units > 0 or self.next_at is None:
            self.next_at = now + self._units / rate_per_s if rate_per_s > 0 else None
        self.rate_per_s = rate_per_s

    def __repr__(self) -> str:
        following = "no arrival" if self.next_at is None else f"next at {self.next_at:.3f}s"
        return f"<PoissonSchedule {self.rate_per_s:g}/s, {following}>"


class Arrivals:
    """Runs one schedule: calls `on_arrival(planned, actual)` in clock seconds. Uses one timer at a time."""

    def __init__(self, clock: Clock, schedule: PoissonSchedule, on_arrival: OnArrival) -> None:
        self._clock = clock
        self._schedule = schedule
        self._on_arrival = on_arrival
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    @property
    def rate_per_s(self) -> float:
        return self._schedule.rate_per_s

    def start(self) -> None:
        self._running = True
        self._arm()

    def stop(self) -> None:
        self._running = False
        self._disarm()

    def set_rate(self, rate_per_s: float) -> None:
        self._schedule.set_rate(rate_per_s, self._clock.now())
        if self._running:
            self._disarm()
            self._arm()

    def _arm(self) -> None:
        planned = self._schedule.next_at
        if planned is not None:
            delay_s = max(0.0, planned - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        """Sends due arrivals, always at least one: the loop's clock may round to just before the planned time."""
        self._timer = None
        schedule = self._schedule
        now = self._clock.now()
        planned = schedule.next_at
        while planned is not None:
            schedule.advance()
            self._on_arrival(planned, now)
            planned = schedule.next_at
            if planned is not None and planned > now:
                break
        if self._running and self._timer is None:
            self._arm()

    def __repr__(self) -> str:
        return f"<Arrivals {'running' if self._running else 'stopped'}, {self._schedule!r}>"
