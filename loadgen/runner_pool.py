"""The hosted runners of one region: every job consumes one, and for every job the pool provisions one.

A job that gives up waiting leaves; the machine ordered for it is still on its way, with the patience of the pool. What
arrives for nobody refills the warm runners, and beyond those is let go.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial

from loadgen.leftovers import Leftover
from loadgen.machines import Machine, Machines
from loadgen.site import Site, Steps

Place = asyncio.Future["Machine | None"]


class RunnerPool:
    """Hands out runners by type, oldest first, to jobs in the order in which they asked.

    `site` is that of the tenant who runs the pool: the provisioner sees only this tenant, whoever the job is for.
    """

    def __init__(self, site: Site, extension: str, types: tuple[str, ...]) -> None:
        self._site = site
        self._machines = Machines(site, "vm", extension)
        self._idle: dict[str, deque[Machine]] = {name: deque() for name in types}
        self._waiting: dict[str, deque[Place]] = {name: deque() for name in types}
        self._ordered: Counter[str] = Counter()
        site.tools.leftovers.hold(self._held)

    def _held(self) -> Iterator[Leftover]:
        return (self._machines.leftover(runner) for idle in self._idle.values() for runner in idle)

    def setup(self) -> Steps:
        """The warm runners."""
        warm = self._site.tools.settings.warm_runners
        return [partial(self._provision, name, self._site.patience()) for name in self._idle for _ in range(warm)]

    def order(self, runner_type: str) -> None:
        """Provisions one runner, in the background."""
        self._site.tools.spawn(self._provision(runner_type, self._site.patience()))

    async def acquire(self, runner_type: str, deadline: float) -> Machine | None:
        """A runner, or None when `deadline` (clock seconds) comes first."""
        idle, waiting = self._idle[runner_type], self._waiting[runner_type]
        if idle:
            return idle.popleft()
        loop = asyncio.get_running_loop()
        place: Place = loop.create_future()
        waiting.append(place)
        timer = loop.call_later(max(0.0, deadline - self._site.tools.now), _leave, place, waiting)
        try:
            return await place
        finally:
            timer.cancel()
            _leave(place, waiting)

    def release(self, runner: Machine) -> None:
        """A job ended and its runner is used up."""
        if self._site.tools.settings.discard_used:
            self._site.tools.spawn(self._machines.discard(runner))

    async def _provision(self, runner_type: str, patience_s: float) -> None:
        """One machine, with up to `patience_s` until it is ready, then to whoever waits."""
        machine = self._machines.new()
        self._ordered[runner_type] += 1
        try:
            ended = await self._machines.create(machine, self._site.tools.now + patience_s)
        finally:
            self._ordered[runner_type] -= 1
        self._site.tools.metrics.runner_orders.labels(self._site.region, ended.status.lower()).inc()
        if ended.ok:
            self._arrived(runner_type, machine)

    def _arrived(self, runner_type: str, machine: Machine) -> None:
        waiting = self._waiting[runner_type]
        while waiting:
            place = waiting.popleft()
            if not place.done():
                place.set_result(machine)
                return
        if len(self._idle[runner_type]) < self._site.tools.settings.warm_runners:
            self._idle[runner_type].append(machine)
        else:
            self.release(machine)

    def counts(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Rows of the gauge `loadgen_runners{region,runner,state}`."""
        for name in self._idle:
            yield (self._site.region, name, "idle"), len(self._idle[name])
            yield (self._site.region, name, "ordered"), self._ordered[name]
            yield (self._site.region, name, "wanted"), len(self._waiting[name])

    def __repr__(self) -> str:
        idle, wanted = sum(map(len, self._idle.values())), sum(map(len, self._waiting.values()))
        return f"<RunnerPool {self._site.region}: {idle} idle, {self._ordered.total()} ordered, {wanted} wanted>"


def _leave(place: Place, waiting: deque[Place]) -> None:
    """Gives up a place in the queue; harmless when it was served."""
    if place in waiting:
        waiting.remove(place)
    if not place.done():
        place.set_result(None)
