"""The virtual event loop: exact times, FIFO order, and guards that raise errors."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from compose.virtual.kernel import loop as loop_module
from compose.virtual.kernel.errors import LeftTheSimulation, Livelock, SleepForever
from compose.virtual.kernel.fences import FENCED_METHODS
from compose.virtual.kernel.loop import OWNER, VirtualLoop
from compose.virtual.kernel.process import Process


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


# --- time ------------------------------------------------------------------------------------------------


async def test_time_starts_at_zero_and_moves_only_to_timers() -> None:
    assert now() == 0.0
    await asyncio.sleep(0)
    assert now() == 0.0
    await asyncio.sleep(3.25)
    assert now() == 3.25
    await asyncio.sleep(86_400 * 365)
    assert now() == 3.25 + 86_400 * 365


async def test_timers_of_one_instant_run_in_the_order_they_were_made() -> None:
    order: list[int] = []
    loop = virtual_loop()
    for number in range(5):
        loop.call_later(2.0, order.append, number)
    loop.call_later(1.0, order.append, 99)
    loop.call_at(2.0, order.append, 5)
    await asyncio.sleep(2.0)
    assert order == [99, 0, 1, 2, 3, 4, 5]


async def test_a_timer_in_the_past_runs_at_this_instant_after_what_is_ready() -> None:
    order: list[str] = []
    loop = virtual_loop()
    await asyncio.sleep(5)
    loop.call_soon(order.append, "soon")
    loop.call_at(1.0, order.append, "late")
    loop.call_soon(order.append, "last")
    await asyncio.sleep(0)
    assert order == ["soon", "late", "last"]
    assert now() == 5.0


async def test_cancelled_handles_do_not_run_and_do_not_hold_up_time() -> None:
    ran: list[str] = []
    loop = virtual_loop()
    soon, later = loop.call_soon(ran.append, "soon"), loop.call_later(1.0, ran.append, "later")
    soon.cancel()
    later.cancel()
    assert soon.cancelled()
    assert later.when() == 1.0
    await asyncio.sleep(10)
    assert ran == []


async def test_cancelled_timers_leave_the_heap() -> None:
    loop = virtual_loop()
    for _ in range(10_000):
        loop.call_later(1000.0, print).cancel()
    assert len(loop._heap) < 2000


async def test_timers_beyond_the_end_of_time_never_fire() -> None:
    loop = virtual_loop()
    loop.call_later(float("inf"), pytest.fail, "a timer at infinity ran")
    loop.call_later(loop_module.FOREVER_S, pytest.fail, "a timer at FOREVER_S ran")
    await asyncio.sleep(loop_module.FOREVER_S / 2)
    with pytest.raises(ValueError, match="NaN"):
        loop.call_later(float("nan"), print)


async def test_timeouts_hit_exactly() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(8.0):
            await asyncio.sleep(9)
    assert now() == 8.0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(100), 0.125)
    assert now() == 8.125


async def test_the_end_of_an_instant_comes_after_everything_else() -> None:
    order: list[object] = []
    loop = virtual_loop()

    async def busy() -> None:
        for turn in range(20):
            await asyncio.sleep(0)
            order.append(turn)

    task = asyncio.create_task(busy())
    await loop.end_of_instant()
    order.append("end")
    await task
    assert order == [*range(20), "end"]
    assert now() == 0.0


# --- order -----------------------------------------------------------------------------------------------


async def test_a_set_of_tasks_is_iterated_in_the_order_of_their_numbers() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(1, number)) for number in range(4)]
    assert [hash(task) for task in tasks] == list(range(hash(tasks[0]), hash(tasks[0]) + 4))
    done, _ = await asyncio.wait(tasks)
    assert {task.result() for task in done} == {0, 1, 2, 3}


def test_two_loops_number_and_name_their_tasks_equally() -> None:
    async def names() -> list[tuple[str, int]]:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        await asyncio.gather(*tasks)
        return [(task.get_name(), hash(task)) for task in tasks]

    def run() -> list[tuple[str, int]]:
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(names())
        finally:
            loop.close()

    assert run() == run() == [("Task-2", 2), ("Task-3", 3), ("Task-4", 4)]


# --- owners ----------------------------------------------------------------------------------------------


async def test_a_halted_owner_gets_no_time_until_it_is_resumed() -> None:
    loop = virtual_loop()
    ticks: list[float] = []

    async def tick() -> None:
        while len(ticks) < 4:
            ticks.append(now())
            await asyncio.sleep(1)

    context = contextvars.copy_context()
    context.run(OWNER.set, "somebody")
    task = loop.create_task(tick(), context=context)
    await asyncio.sleep(0.5)
    loop.halt("somebody")
    await asyncio.sleep(10)
    assert ticks == [0.0]
    assert loop.tasks_of("somebody") == [task]
    loop.resume("somebody")
    await task
    assert ticks == [0.0, 10.5, 11.5, 12.5]


# --- guards ----------------------------------------------------------------------------------------------


def run_alone(main: Any, **changes: Any) -> Any:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def test_a_poll_without_delay_is_a_livelock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURNS_AT_ONE_INSTANT_MAX", 1000)

    async def poll() -> None:
        await asyncio.sleep(3)
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"t=3\.0"):
        run_alone(poll())


def test_ten_thousand_tasks_at_one_instant_are_no_livelock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURNS_AT_ONE_INSTANT_MAX", 100)

    async def burst() -> int:
        return len(await asyncio.gather(*(asyncio.sleep(1, number) for number in range(10_000))))

    assert run_alone(burst()) == 10_000


def test_a_deadlock_names_who_waits_where() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.sleep(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_nobody(), name="the forgotten one")

    with pytest.raises(SleepForever) as report:
        run_alone(main())
    text = str(report.value)
    assert "t=2.0: nothing is scheduled and 2 tasks wait" in text
    assert "the forgotten one: test_a_deadlock_names_who_waits_where.<locals>.wait_for_nobody" in text
    assert "test_virtual_loop.py:" in text


def test_an_exception_in_a_callback_is_reported_and_the_loop_goes_on() -> None:
    reports: list[dict[str, Any]] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        loop.call_later(1, lambda: 1 / 0)
        await asyncio.sleep(2)
        return loop.time()

    assert run_alone(main()) == 2.0
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


# --- fences ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(FENCED_METHODS))
async def test_a_method_that_leaves_the_simulation_is_refused_by_name(method: str) -> None:
    loop = virtual_loop()
    call: Callable[..., Any] = getattr(loop, method)
    with pytest.raises(LeftTheSimulation, match=f"loop.{method} leaves the simulation"):
        call()
    assert loop.left[-1].call == f"loop.{method}"


async def test_run_in_executor_runs_inline() -> None:
    thread = await asyncio.to_thread(threading.get_ident)
    assert thread == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await asyncio.get_running_loop().run_in_executor(None, lambda: 1 / 0)


async def test_a_loop_without_network_opens_no_connections() -> None:
    with pytest.raises(LeftTheSimulation, match="create_connection"):
        await asyncio.open_connection("localhost", 80)


async def test_the_loop_describes_itself() -> None:
    await asyncio.sleep(1.5)
    assert repr(asyncio.get_running_loop()) == "<VirtualLoop running at 1.500000 s, 0 timers>"


def test_a_closed_loop_closes_the_coroutines_of_tasks_that_never_started() -> None:
    """A run that ends with a request just handed over, or for a frozen process, would warn at some later collection."""

    async def never() -> None: ...

    loop, coroutine = VirtualLoop(), never()
    task = loop.create_task(coroutine)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_a_task_begun_in_an_empty_context_stays_nobodys_after_a_process_answered() -> None:
    """An empty context is false, like every empty mapping; it must not be taken for a missing one."""

    async def main(loop: VirtualLoop) -> object:
        await Process("node", loop).spawn(asyncio.sleep(1.0))
        return OWNER.get()

    loop = VirtualLoop()
    assert contextvars.Context().run(lambda: loop.run_until_complete(main(loop))) is None
    loop.close()
