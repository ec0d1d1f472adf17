"""The hosted runners of one region: every job consumes one, and for every job the pool provisions one.

A job may give up waiting; its machine is still provisioned, with the pool's timeout. A machine without a waiting job
refills the warm runners; surplus machines are deleted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import partial

from loadgen.leftovers import Leftover
from loadgen.machines import Machine, MachineNeeds, Machines
from loadgen.site import Site, Steps

Place = asyncio.Future["Machine | None"]


class RunnerPool:
    """Assigns runners by type, oldest first, to jobs in the order of their requests.

    `site` belongs to the tenant that runs the pool: the provisioner sees only this tenant, whichever tenant owns the
    job.
    """

    def __init__(self, site: Site, types: Mapping[str, MachineNeeds]) -> None:
        self._site = site
        self._machines = {
            name: Machines(site, "vm", needs.extension, identity=needs.identity) for name, needs in types.items()
        }
        self._idle: dict[str, deque[Machine]] = {name: deque() for name in types}
        self._waiting: dict[str, deque[Place]] = {name: deque() for name in types}
        self._ordered: Counter[str] = Counter()
        site.tools.leftovers.hold(self._held)

    def _held(self) -> Iterator[Leftover]:
        return (self._machines[name].leftover(runner) for name, idle in self._idle.items() for runner in idle)

    def setup(self) -> Steps:
        """The steps that provision the warm runners."""
        warm = self._site.tools.settings.warm_runners
        return [partial(self._provision, name, self._site.patience()) for name in self._idle for _ in range(warm)]

    def order(self, runner_type: str) -> None:
        """Provisions one runner, in the background."""
        self._site.tools.spawn(self._provision(runner_type, self._site.patience()))

    async def acquire(self, runner_type: str, deadline: float) -> Machine | None:
        """Waits for a runner; None if `deadline` (clock seconds) passes first."""
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

    def release(self, runner_type: str, runner: Machine) -> None:
        """A job has ended; its runner is not reused."""
        if self._site.tools.settings.discard_used:
            self._site.tools.spawn(self._machines[runner_type].discard(runner))

    async def _provision(self, runner_type: str, patience_s: float) -> None:
        """Provisions one machine within `patience_s` and assigns it to a waiting job."""
        machines = self._machines[runner_type]
        machine = machines.new()
        self._ordered[runner_type] += 1
        try:
            ended = await machines.create(machine, self._site.tools.now + patience_s)
        finally:
            self._ordered[runner_type] -= 1
        self._site.tools.metrics.runner_orders.labels(self._site.region, runner_type, ended.status.lower()).inc()
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
            self.release(runner_type, machine)

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
    """Leaves the queue; does nothing if the place was already served."""
    if place in waiting:
        waiting.remove(place)
    if not place.done():
        place.set_result(None)
