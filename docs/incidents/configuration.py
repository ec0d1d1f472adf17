"""Actions: a configuration is rolled out in stages behind a gate, or deployed without one.

The gate looks once a second at the nodes of the regions reached so far. What it lets pass becomes the last
known good configuration; when it stops, it puts that one back. What it does not see in time, it takes for
good.
"""

from chaos.faults.desk import OperatorDesk

FIRST = "first"
"""The configuration with which the fleet started."""


class Fleet:
    """Which configuration each region runs, and after how long a node crashes of it; kept for all actions of a run."""

    def __init__(self, desk: OperatorDesk) -> None:
        self._desk = desk
        self._running: dict[str, str] = desk.shared.setdefault("running", {})
        self.crash_after_s: dict[str, float] = desk.shared.setdefault("crash_after_s", {})

    @property
    def last_known_good(self) -> str:
        return str(self._desk.shared.get("last_known_good", FIRST))

    def remember(self, configuration: str) -> None:
        """Takes a configuration for the last known good one."""
        self._desk.shared["last_known_good"] = configuration

    async def deploy(self, region: str, configuration: str) -> None:
        """Brings a configuration to a region; one that runs there already changes nothing."""
        if self._running.get(region, FIRST) != configuration:
            self._running[region] = configuration
            change = {"configuration": {"crash_after_s": self.crash_after_s.get(configuration)}}
            await self._desk.settings({"regions": {region: {"identity": change}}})

    async def nodes_up(self, region: str) -> float:
        return await self._desk.reading("nodes_up", region, 1.0) or 0.0


class Rollout:
    """Deploys region after region; the gate watches for `watch_s` after each.

    `crash_after_s` is the defect of the configuration: after how long a node that runs it crashes. 0: it has none.
    """

    def __init__(self, configuration: str, regions: str, watch_s: int, crash_after_s: float = 0.0) -> None:
        self.configuration = configuration
        self.stages = _names(regions)
        self.watch_s = watch_s
        self.crash_after_s = crash_after_s

    async def perform(self, desk: OperatorDesk) -> None:
        fleet = Fleet(desk)
        if self.crash_after_s:
            fleet.crash_after_s[self.configuration] = self.crash_after_s
        before = {region: await fleet.nodes_up(region) for region in self.stages}
        for number, region in enumerate(self.stages, 1):
            await fleet.deploy(region, self.configuration)
            reached = self.stages[:number]
            if not await self._passes(desk, fleet, {one: before[one] for one in reached}):
                for one in reached:
                    await fleet.deploy(one, fleet.last_known_good)
                return
            fleet.remember(self.configuration)

    async def _passes(self, desk: OperatorDesk, fleet: Fleet, nodes: dict[str, float]) -> bool:
        """Whether all nodes stay up while the gate watches."""
        for _ in range(self.watch_s):
            await desk.sleep(1.0)
            if any([await fleet.nodes_up(region) < count for region, count in nodes.items()]):
                return False
        return True


class Deploy:
    """Deploys a configuration, one region every `spacing_s`, without a gate. It counts as good from then on.

    Without a name it deploys the last known good one.
    """

    def __init__(self, regions: str, configuration: str = "", spacing_s: float = 1.0) -> None:
        self.configuration = configuration
        self.regions = _names(regions)
        self.spacing_s = spacing_s

    async def perform(self, desk: OperatorDesk) -> None:
        fleet = Fleet(desk)
        configuration = self.configuration or fleet.last_known_good
        for region in self.regions:
            await fleet.deploy(region, configuration)
            await desk.sleep(self.spacing_s)
        fleet.remember(configuration)


def _names(regions: str) -> tuple[str, ...]:
    return tuple(region.strip() for region in regions.split(","))
