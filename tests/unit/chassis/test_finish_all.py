"""Shutdown runs every step and reports every failure."""

import asyncio

import pytest

from services.chassis.endings import finish_all


async def test_each_step_runs_even_when_earlier_ones_failed() -> None:
    taken: list[str] = []

    async def first() -> None:
        taken.append("first")
        raise OSError("disk full")

    def second() -> None:
        taken.append("second")
        raise KeyError("lease")

    async def third() -> None:
        taken.append("third")

    with pytest.raises(OSError, match="disk full") as caught:
        await finish_all(first, second, third)
    assert taken == ["first", "second", "third"]
    assert len(caught.value.__notes__) == 1
    assert "second: KeyError('lease')" in caught.value.__notes__[0]


async def test_a_step_that_is_cancelled_does_not_keep_the_next_from_being_taken() -> None:
    taken: list[str] = []

    async def endless() -> None:
        await asyncio.Event().wait()

    async def last() -> None:
        await asyncio.sleep(1.0)
        taken.append("last")

    leaving = asyncio.create_task(finish_all(endless, last))
    await asyncio.sleep(1.0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert (leaving.cancelled(), taken) == (True, ["last"])


async def test_without_a_failure_all_steps_are_taken_in_order() -> None:
    taken: list[str] = []
    await finish_all()
    await finish_all(lambda: taken.append("first"), lambda: taken.append("second"))
    assert taken == ["first", "second"]
