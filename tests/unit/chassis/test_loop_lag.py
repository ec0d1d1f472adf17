"""The lag of an event loop: exact on a clock that the test moves, zero in virtual time."""

import asyncio

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from services.chassis.clock import Clock
from services.chassis.loop_lag import LAG_METRIC, LOOK_S, STALL_METRIC, LoopLag
from services.chassis.metrics import Metrics

EPOCH_S = 1_000_000.0


class Machine:
    """A machine whose loop can be held up (`lost_s`) and that can sleep (`slept_s`)."""

    def __init__(self) -> None:
        self.lost_s = self.slept_s = 0.0
        loop = asyncio.get_running_loop()
        self.clock = Clock(lambda: loop.time() + self.lost_s, EPOCH_S, lambda: self.clock_wall())
        self.metrics = Metrics()
        self.lag = LoopLag(self.clock, self.metrics)

    def clock_wall(self) -> float:
        return EPOCH_S + self.clock.now() + self.slept_s

    def read(self) -> dict[str, float]:
        return {name: round(number, 6) for name, _labels, number in self.metrics.samples()}

    @property
    def stalled_s(self) -> float:
        return self.read()[f"{STALL_METRIC}_total"]

    async def hold_up(self, seconds: float) -> None:
        """Between two looks the loop does not run for so long."""
        await asyncio.sleep(LOOK_S / 2)
        self.lost_s += seconds
        await asyncio.sleep(LOOK_S)


@pytest.fixture
async def machine() -> Machine:
    return Machine()


async def test_a_loop_that_runs_on_time_has_no_lag(machine: Machine) -> None:
    machine.lag.start()
    await asyncio.sleep(60.0)
    assert machine.read() == {LAG_METRIC: 0.0, f"{STALL_METRIC}_total": 0.0}
    machine.lag.stop()


async def test_a_stall_is_read_for_more_than_a_second_and_counted_once(machine: Machine) -> None:
    machine.lag.start()
    await machine.hold_up(3.0)
    assert machine.read() == {LAG_METRIC: 3.0, f"{STALL_METRIC}_total": 3.0}
    await asyncio.sleep(0.9)
    assert machine.read()[LAG_METRIC] == 3.0, "a scrape a second later must still see it"
    await asyncio.sleep(1.2)
    assert machine.read() == {LAG_METRIC: 0.0, f"{STALL_METRIC}_total": 3.0}
    machine.lag.stop()


async def test_a_small_lag_is_read_but_is_no_stall(machine: Machine) -> None:
    machine.lag.start()
    await machine.hold_up(0.2)
    assert machine.read() == {LAG_METRIC: 0.2, f"{STALL_METRIC}_total": 0.0}
    machine.lag.stop()


async def test_a_read_before_the_next_look_sees_what_is_overdue(machine: Machine) -> None:
    machine.lag.start()
    await asyncio.sleep(LOOK_S / 2)
    machine.lost_s += 5.0
    assert machine.read()[LAG_METRIC] == 5.0 - LOOK_S / 2
    machine.lag.stop()


async def test_a_suspended_machine_stalls_and_the_calendar_follows(machine: Machine) -> None:
    machine.lag.start()
    await asyncio.sleep(LOOK_S / 2)
    machine.slept_s += 8 * 3600.0
    await asyncio.sleep(LOOK_S)
    assert machine.stalled_s == 8 * 3600.0
    assert machine.clock.epoch() == machine.clock_wall(), "leases and tokens must agree with processes that start now"
    await asyncio.sleep(60.0)
    assert machine.stalled_s == 8 * 3600.0
    machine.lag.stop()


async def test_a_wall_clock_set_back_is_followed_and_is_not_a_stall(machine: Machine) -> None:
    machine.lag.start()
    machine.slept_s -= 30.0
    await asyncio.sleep(1.0)
    assert machine.stalled_s == 0.0
    assert machine.clock.epoch() == machine.clock_wall()
    machine.lag.stop()


async def test_a_slewed_wall_clock_is_not_corrected(machine: Machine) -> None:
    machine.lag.start()
    machine.slept_s += 0.9
    await asyncio.sleep(1.0)
    assert machine.stalled_s == 0.0
    assert machine.clock.wall_ahead_s() == pytest.approx(0.9)
    machine.lag.stop()


async def test_a_simulated_clock_is_not_watched() -> None:
    loop = asyncio.get_running_loop()
    metrics = Metrics()
    lag = LoopLag(Clock(loop.time, EPOCH_S), metrics)
    lag.start()
    assert "not looking" in repr(lag)
    assert [number for _name, _labels, number in metrics.samples()] == [0.0, 0.0]


def test_every_process_of_a_virtual_run_records_a_lag_of_exactly_zero() -> None:
    scenario = restrict(load("calm-day"), ["eastus", "westus"])
    plan = make_plan(scenario.model_copy(update={"warmup_s": 14.0, "duration_s": 5.0}), 1)
    recorder = carry_out(plan, transport="direct").recorder
    assert recorder is not None
    for name in (LAG_METRIC, f"{STALL_METRIC}_total"):
        labels, values = recorder.series.matrix(name, {})
        instances = {row["instance"] for row in labels}
        assert instances >= {spec.name for spec in plan.topology.instances()} | {"controller"}
        assert not values[values == values].any()
