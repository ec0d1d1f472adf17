"""The schedule is absolute and Poisson, a change of rate is exact, and one timer is held at a time."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.virtual.world import VirtualWorld
from loadgen.arrivals import Arrivals, PoissonSchedule
from services.chassis.clock import Clock


class OneSecondGaps(Random):
    """Draws gaps of exactly one mean."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 1.0 / lambd


def gaps(schedule: PoissonSchedule, count: int) -> list[float]:
    times = []
    for _ in range(count):
        assert schedule.next_at is not None
        times.append(schedule.next_at)
        schedule.advance()
    return times


def test_gaps_follow_the_rate() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 4.0, start_at=10.0)
    assert gaps(schedule, 4) == [10.25, 10.5, 10.75, 11.0]


def test_the_long_run_rate_is_the_rate() -> None:
    schedule = PoissonSchedule(Random(7), 2.0, start_at=0.0)
    assert gaps(schedule, 20_000)[-1] == pytest.approx(10_000, rel=0.02)


def test_a_change_of_rate_scales_what_is_left() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 0.1, start_at=0.0)
    schedule.set_rate(0.5, now=4.0)  # 6 of 10 s were left: 0.6 mean gaps, at the new rate 1.2 s
    assert schedule.next_at == pytest.approx(5.2, abs=1e-12)


def test_a_rate_of_zero_waits_and_keeps_the_rest() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 0.5, start_at=0.0)
    schedule.set_rate(0.0, now=1.0)
    assert schedule.next_at is None
    schedule.set_rate(0.0, now=50.0)
    schedule.set_rate(1.0, now=100.0)
    assert schedule.next_at == 100.5


def test_what_is_due_stays_due() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 1.0, start_at=0.0)
    schedule.set_rate(0.001, now=1.5)
    assert schedule.next_at == 1.0


def test_a_schedule_that_starts_silent_can_be_woken() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 0.0, start_at=5.0)
    assert schedule.next_at is None
    schedule.set_rate(2.0, now=8.0)
    assert schedule.next_at == 8.5


def test_a_negative_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_per_s must not be negative, not -1"):
        PoissonSchedule(Random(1), -1.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 9)), max_size=20))
def test_changes_of_rate_consume_no_random_numbers(changes: list[tuple[float, float]]) -> None:
    """In units of mean gaps the arrivals are the same whatever the rates were."""
    rng, plain = Random(3), Random(3)
    schedule = PoissonSchedule(rng, 1.0, 0.0)
    plain.expovariate(1.0)
    now = 0.0
    for step, rate in changes:
        now += step
        schedule.set_rate(rate, now)
    assert rng.getstate() == plain.getstate()


def test_reprs() -> None:
    schedule = PoissonSchedule(OneSecondGaps(), 2.0, 0.0)
    assert repr(schedule) == "<PoissonSchedule 2/s, next at 0.500s>"
    schedule.set_rate(0.0, 0.0)
    assert repr(schedule) == "<PoissonSchedule 0/s, no arrival>"


async def test_arrivals_are_sent_when_planned(world: VirtualWorld) -> None:
    clock = Clock(world.loop.time, 0.0)
    sent: list[tuple[float, float]] = []
    start = clock.now()
    schedule = PoissonSchedule(OneSecondGaps(), 2.0, start)
    arrivals = Arrivals(clock, schedule, lambda planned, actual: sent.append((planned - start, actual - start)))
    arrivals.start()
    await asyncio.sleep(2.0)
    assert sent == [(0.5, 0.5), (1.0, 1.0), (1.5, 1.5), (2.0, 2.0)]
    arrivals.stop()
    await asyncio.sleep(5.0)
    assert len(sent) == 4


async def test_a_frozen_generator_catches_up_with_the_plan(world: VirtualWorld) -> None:
    clock = Clock(world.loop.time, 0.0)
    sent: list[tuple[float, float]] = []
    process = world.process("loadgen")

    async def generate() -> None:
        schedule = PoissonSchedule(OneSecondGaps(), 1.0, clock.now())
        Arrivals(clock, schedule, lambda planned, actual: sent.append((planned, actual))).start()

    start = clock.now()
    await process.spawn(generate())
    await asyncio.sleep(1.5)
    process.freeze()
    await asyncio.sleep(3.0)
    process.thaw()
    await asyncio.sleep(1.0)
    assert sent == [(start + 1, start + 1), *[(start + n, start + 4.5) for n in (2, 3, 4)], (start + 5, start + 5)]


async def test_one_timer_at_a_time(world: VirtualWorld) -> None:
    clock = Clock(world.loop.time, 0.0)
    arrivals = Arrivals(clock, PoissonSchedule(OneSecondGaps(), 1.0, clock.now()), lambda *_times: None)
    arrivals.start()
    timers = []
    for rate_per_s in (2.0, 0.5, 4.0):
        timers.append(arrivals._timer)
        arrivals.set_rate(rate_per_s)
    assert [timer.cancelled() for timer in timers if timer] == [True, True, True]
    arrivals.set_rate(0.0)
    assert arrivals._timer is None
