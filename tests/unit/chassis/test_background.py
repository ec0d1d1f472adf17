"""The supervisor: which tasks are restarted and when, what is reported, and that stopping leaves none behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.chassis.background import DELAY_MAX_S, Background
from services.chassis.clock import Clock


class Bench:
    """A supervisor, and everything it said and when."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self.said: list[tuple[float, dict[str, Any]]] = []
        self.background = Background(Clock(self.now, 0.0), self._emit)

    def _emit(self, kind: str, /, **fields: Any) -> None:
        self.said.append((self.now(), {"kind": kind, **fields}))


class Flaky:
    """Work that fails `failures` times, each after `lasts_s`, and then goes on until it is cancelled."""

    def __init__(self, failures: int, lasts_s: float = 0.0) -> None:
        self.began: list[float] = []
        self._failures, self._lasts_s = failures, lasts_s

    async def __call__(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        if len(self.began) > self._failures:
            await asyncio.Event().wait()
        await asyncio.sleep(self._lasts_s)
        raise OSError("connection refused")


async def test_a_task_that_fails_is_started_again_after_growing_bounded_delays() -> None:
    bench, work = Bench(), Flaky(7)
    bench.background.keep(work, "event sink")
    await asyncio.sleep(100)
    assert work.began == [0.0, 0.25, 0.75, 1.75, 3.75, 5.75, 7.75, 9.75]
    assert [moment for moment, _ in bench.said] == work.began[:-1]
    assert bench.said[0][1] == {
        "kind": "task_failed",
        "task": "event sink",
        "error": "OSError('connection refused')",
        "restart_s": 0.25,
    }
    await bench.background.stop()


async def test_the_delay_is_reset_once_a_task_has_worked() -> None:
    bench, work = Bench(), Flaky(3, lasts_s=2 * DELAY_MAX_S + 1)
    bench.background.keep(work, "journal")
    await asyncio.sleep(100)
    assert [event["restart_s"] for _, event in bench.said] == [0.25, 0.25, 0.25]
    await bench.background.stop()


async def test_it_counts_as_failing_until_the_next_try_has_lasted_as_long_as_the_delay() -> None:
    bench = Bench()
    bench.background.keep(Flaky(1), "lease")
    seen = []
    for _ in range(6):
        await asyncio.sleep(0.1)
        seen.append(dict(bench.background.failing))
    assert seen == [{"lease": "OSError('connection refused')"}] * 4 + [{}] * 2
    await bench.background.stop()


async def test_what_must_not_end_is_started_again_when_it_returns_and_what_may_end_is_not() -> None:
    bench, runs = Bench(), {"keep": 0, "finish": 0}

    def counting(name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            runs[name] += 1
            await asyncio.sleep(10)

        return work

    bench.background.keep(counting("keep"), "keep")
    bench.background.finish(counting("finish"), "finish")
    await asyncio.sleep(21)
    assert runs == {"keep": 3, "finish": 1}
    assert bench.said[0][1]["error"] == "TaskEnded('it returned')"
    await bench.background.stop()


async def test_a_task_that_is_cancelled_from_within_is_started_again() -> None:
    """A task that awaits a future is not cancelled when that future is."""
    bench, runs = Bench(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    bench.background.keep(work, "event reader")
    await asyncio.sleep(0.5)
    assert runs == 2
    assert "cancelled from within" in bench.said[0][1]["error"]
    await bench.background.stop()


async def test_an_error_of_a_task_that_runs_once_is_an_event_and_nothing_more() -> None:
    bench = Bench()

    async def work() -> None:
        raise KeyError("expires_on")

    bench.background.once(work(), "token refresh")
    await asyncio.sleep(10)
    assert [event for _, event in bench.said] == [
        {"kind": "task_failed", "task": "token refresh", "error": "KeyError('expires_on')"}
    ]
    assert not bench.background.failing
    await bench.background.stop()


async def test_the_result_of_a_call_belongs_to_its_caller() -> None:
    bench = Bench()

    async def work(error: Exception | None) -> int:
        if error:
            raise error
        return 42

    assert await bench.background.call(work(None), "sum") == 42
    with pytest.raises(ZeroDivisionError):
        await bench.background.call(work(ZeroDivisionError()), "sum")
    assert bench.said == []
    await bench.background.stop()


async def test_completing_waits_out_the_errors_it_names_and_raises_the_others() -> None:
    bench, errors = Bench(), [ConnectionError("away"), ConnectionError("away"), ValueError("workers")]

    async def begin() -> None:
        if errors:
            raise errors.pop(0)

    with pytest.raises(ValueError, match="workers"):
        await bench.background.complete(begin, "start", (OSError,))
    assert bench.now() == 0.75
    await bench.background.complete(begin, "start", (OSError,))
    assert bench.now() == 0.75
    await bench.background.stop()


async def test_stopping_cancels_everything_and_lets_nothing_start_afterwards() -> None:
    bench, ended, late = Bench(), [], []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)
            ended.append(name)
            scope.once(after(), "late")

    async def after() -> None:
        late.append("ran")

    scope = bench.background.scope()
    scope.once(work("inner"), "inner")
    bench.background.once(work("outer"), "outer")
    bench.background.keep(Flaky(1), "failing")
    await asyncio.sleep(0.1)
    await bench.background.stop()
    await asyncio.sleep(1)
    assert (sorted(ended), late, len(bench.background)) == (["inner", "outer"], [], 0)
    assert not bench.background.failing


async def test_a_scope_ends_by_itself_and_fails_for_its_parent_too() -> None:
    bench = Bench()
    scope = bench.background.scope()
    scope.keep(Flaky(9), "in the scope")
    bench.background.keep(Flaky(0), "outside")
    await asyncio.sleep(0.1)
    assert list(bench.background.failing) == ["in the scope"]
    await scope.stop()
    assert (len(bench.background), bench.background.failing) == (1, {})
    await bench.background.stop()
