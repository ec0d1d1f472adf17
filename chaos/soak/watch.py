"""The watch over a running testbed: waits until it is settled, reads it every ten seconds, judges what counts."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Protocol

from rich.table import Table

from chaos.progress.terminal import table
from chaos.soak.looks import (
    REDIS,
    STRETCH_MIN_S,
    Look,
    MemoryGrowth,
    counting,
    healthy_for_s,
    is_enough,
    judge,
    longest_stretch,
    restarted,
)
from chaos.soak.settling import Settling, settled_after
from chaos.soak.trend import READINGS_MIN
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import Clock
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED

INTERVAL_S = 10.0
TOLD_EVERY_S = 300.0
WAITS_MAX = 6.0
"""After so many settling times the command gives up: the base load may collapse again and again."""

Say = Callable[[Any], None]


class Meter(Protocol):
    """Reads the memory of all containers."""

    async def look(self) -> Look: ...


class ObservedTestbed(Protocol):
    """The testbed as its controller sees it."""

    async def trouble(self) -> str:
        """Why it is not healthy at full load; empty if it is."""
        ...

    async def redis_data_mb(self) -> float | None: ...


class Watch:
    """One watch. `looks` are the readings since the testbed was settled."""

    def __init__(self, watched_s: float, clock: Clock, say: Say) -> None:
        self.looks: list[Look] = []
        self._watched_s = watched_s
        self._settling = settled_after(0.0)
        self._before: list[Look] = []
        self._clock = clock
        self._say = say

    async def settle(self, meter: Meter, testbed: ObservedTestbed, settling: Settling) -> None:
        """Waits until the testbed is settled.

        Raises:
            RuntimeUnavailable: it was not within `WAITS_MAX` times that time.
        """
        self._settling = settling
        if settling.healthy_s > 0:
            self._say(f"waiting until the testbed is healthy at full load for as long as it takes to fill {settling}")
        start_s = told_s = self._clock.now()
        told: str | None = None
        while not await self._is_settled(meter, testbed):
            now, trouble = self._clock.now(), self._before[-1].trouble
            if now - start_s > WAITS_MAX * max(settling.healthy_s, settling.age_s):
                raise RuntimeUnavailable(self._given_up(now - start_s))
            if trouble != told or now - told_s >= TOLD_EVERY_S:
                self._say(f"minute {(now - start_s) / 60.0:4.0f}: {self._state()}")
                told_s, told = now, trouble
            await asyncio.sleep(INTERVAL_S)

    async def _is_settled(self, meter: Meter, testbed: ObservedTestbed) -> bool:
        if self._settling.healthy_s == 0:
            return True
        await self._look_before(meter, testbed)
        return self._left_s() <= 0

    async def _look_before(self, meter: Meter, testbed: ObservedTestbed) -> None:
        look = await _look(meter, testbed)
        again = restarted([self._before[-1], look]) if self._before else []
        if again and not look.trouble:
            look = replace(look, trouble=f"{', '.join(again)} ended or was started again")
        self._before.append(look)

    def _left_s(self) -> float:
        """How long it takes at least until the testbed is settled."""
        healthy_s = healthy_for_s(self._before)[-1]
        left_s = self._settling.healthy_s if healthy_s is None else self._settling.healthy_s - healthy_s
        return max(left_s, self._settling.age_s - self._before[-1].age_s)

    def _state(self) -> str:
        trouble, left = self._before[-1].trouble, _minutes(self._left_s())
        return f"not settled: {trouble}" if trouble else f"healthy at full load; settled in {left} unless that changes"

    def _given_up(self, waited_s: float) -> str:
        last = next((look.trouble for look in reversed(self._before) if look.trouble), "none")
        return (
            f"could not be judged: the testbed was not settled within {_minutes(waited_s)}; last trouble: {last}. "
            "--settle MINUTES asks for less, and LOAD=rest make up for a load that stays up"
        )

    async def follow(self, meter: Meter, testbed: ObservedTestbed) -> None:
        """Adds a reading every `INTERVAL_S`."""
        start_s = self._clock.now()
        for number in range(max(READINGS_MIN, round(self._watched_s / INTERVAL_S)) + 1):
            await asyncio.sleep(max(0.0, start_s + number * INTERVAL_S - self._clock.now()))
            self.looks.append(await _look(meter, testbed))
            if number % round(60.0 / INTERVAL_S) == 0:
                self._say(f"minute {number * INTERVAL_S / 60.0:4.0f}: {self._line()}")

    def _line(self) -> str:
        look, counts = self.looks[-1], self._counting()[-1]
        said = f"{sum(look.memory_mb.values()):.0f} MB in total"
        if look.redis_data_mb is not None and REDIS in look.memory_mb:
            said += f", Redis {look.memory_mb[REDIS]:.1f} MB with {look.redis_data_mb:.1f} MB of data"
        return said if counts else f"{said}; not judged: {look.trouble or 'within the settling time after it'}"

    def _counting(self) -> list[bool]:
        return counting([*self._before, *self.looks], self._settling.healthy_s)[len(self._before) :]

    def conclude(self) -> int:
        """Prints the result and returns the exit code."""
        counts = self._counting()
        stretch = longest_stretch(counts)
        for line in self._left_out(counts):
            self._say(line)
        judged = self.looks[stretch]
        if not is_enough(judged, self._watched_s):
            self._say(
                f"could not be judged: the longest stretch that counts is {_minutes(_length_s(judged))} of "
                f"{_minutes(_length_s(self.looks))}, and {_minutes(min(STRETCH_MIN_S, self._watched_s))} are needed"
            )
            return BAD_INPUT
        rows, again = judge(judged), restarted(self.looks)
        self._say(_table(rows, f"memory in minutes {self._minute(judged[0]):.0f} to {self._minute(judged[-1]):.0f}"))
        grown = [row.trend.name for row in rows if row.counts]
        self._say(f"grows: {', '.join(grown)}" if grown else "nothing grows")
        if again:
            self._say(f"ended or started again, so they were not watched the whole time: {', '.join(again)}")
        return CONTRADICTED if grown else BAD_INPUT if again else EXPECTED

    def _left_out(self, counts: Sequence[bool]) -> Iterator[str]:
        """A line for each stretch that does not count, with its troubles."""
        for is_judged, part in groupby(zip(counts, self.looks, strict=True), key=lambda row: row[0]):
            looks = [look for _, look in part]
            if not is_judged:
                troubles = dict.fromkeys(one for look in looks for one in look.trouble.split("; ") if one)
                yield (
                    f"minutes {self._minute(looks[0]):.0f} to {self._minute(looks[-1]):.0f} are not judged: "
                    f"{', '.join(troubles) or 'not settled'}, and {_minutes(self._settling.healthy_s)} after it"
                )

    def _minute(self, look: Look) -> float:
        return (look.at_s - self.looks[0].at_s) / 60.0


async def _look(meter: Meter, testbed: ObservedTestbed) -> Look:
    look, trouble, data_mb = await asyncio.gather(meter.look(), testbed.trouble(), testbed.redis_data_mb())
    return replace(look, trouble=trouble, redis_data_mb=data_mb)


def _length_s(looks: Sequence[Look]) -> float:
    return looks[-1].at_s - looks[0].at_s if looks else 0.0


def _minutes(duration_s: float) -> str:
    return f"{duration_s / 60.0:.0f} min"


def _table(rows: Sequence[MemoryGrowth], title: str) -> Table:
    shown = table("container", "MB", "MB per hour", "", title=title)
    for one, _, word in sorted(rows, key=lambda row: -row.trend.per_hour):
        shown.add_row(one.name, f"{one.level:.1f}", f"{one.per_hour:+.2f}", word)
    return shown
