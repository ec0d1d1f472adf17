"""A point of the map: stalls of increasing length until the region does not recover, and the classification.

    stable      recovered from every stall up to the limit, and no collapse outlasted its stall
    vulnerable  after some stall the collapse outlasted the stall, then the region recovered by itself
    metastable  after some stall the region stayed down, at unchanged load
    overloaded  not healthy even before the first stall

Bronson et al. call a healthy system that can be made to collapse *vulnerable*, and the state after that *metastable*. A
point of a map can have both, so it has the class of the worst outcome. No bisection: a probe that recovers is cheap and
one that does not is expensive, so increasing stalls cost no more, without assuming that longer stalls are worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from chaos.experiment.plan import Plan, make_plan, overrides_from
from chaos.experiment.runs import quiet_libraries
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.studies.cache import Codec
from chaos.studies.map.axes import Axis, AxisEffect, effect
from chaos.studies.map.probe import TRANSPORT, End, Probe, probe

MapKind = Literal["stable", "vulnerable", "metastable", "overloaded", "unmeasured"]
KINDS: tuple[MapKind, ...] = ("stable", "vulnerable", "metastable", "overloaded", "unmeasured")
"""From best to worst; the class of a point is the worst of its probes and seeds."""
KIND_BY_END: dict[End, MapKind] = {
    "recovered": "stable",
    "returned": "vulnerable",
    "stayed": "metastable",
    "failing": "overloaded",
    "unmeasured": "unmeasured",
}
STALLS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
WATCH_S = 60.0
WORLD = "one-region.yaml"

At = tuple[tuple[str, str], ...]
"""Names and values of a point, as typed."""


@dataclass(frozen=True)
class MapRun:
    """One point with one seed; picklable."""

    at: At
    seed: int
    stalls_s: tuple[float, ...] = STALLS_S
    watch_s: float = WATCH_S
    mitigations: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    size: float = 1.0

    @property
    def tried_s(self) -> tuple[float, ...]:
        """The stalls to try: that of an axis if given, else all."""
        given = [one.stall_s for one in self._effects if one.stall_s is not None]
        return tuple(given) or tuple(sorted(self.stalls_s))

    @property
    def _effects(self) -> list[AxisEffect]:
        return [effect(name, value, self.size) for name, value in self.at]

    def plan(self) -> Plan:
        """The plan of the run. The settings of the point take precedence over `assignments`.

        Raises:
            SettingsError: invalid input.
        """
        effects = self._effects
        overlays = [overrides_from(self.assignments), *(one.overlay for one in effects)]
        mitigations = [*self.mitigations, *(name for one in effects for name in one.mitigations)]
        scenario = _with_nodes(load(_world(), size=self.size), [one.nodes for one in effects if one.nodes is not None])
        return make_plan(scenario, self.seed, overlays=overlays, mitigations=mitigations)


def _world() -> str:
    from importlib.resources import files

    return str(files("chaos.scenarios.worlds") / WORLD)


def _with_nodes(scenario: Scenario, nodes: Sequence[int]) -> Scenario:
    if not nodes:
        return scenario
    regions = tuple(region.model_copy(update={"identity_nodes": nodes[-1]}) for region in scenario.regions)
    return scenario.model_copy(update={"regions": regions})


@dataclass(frozen=True)
class MapFinding:
    """The classification of one point with one seed, and its probes."""

    kind: MapKind
    probes: tuple[Probe, ...]
    problem: str = ""

    @property
    def tips_at_s(self) -> float | None:
        """The escape threshold in seconds: the shortest stall that was outlasted by its collapse."""
        return next((one.stall_s for one in self.probes if one.end in ("returned", "stayed")), None)

    @property
    def stays_at_s(self) -> float | None:
        """The shortest stall in seconds without recovery."""
        return next((one.stall_s for one in self.probes if one.end == "stayed"), None)


def perform(job: MapRun) -> MapFinding:
    """Runs the probes of the job in this process, in virtual time."""
    quiet_libraries()
    plan, probes = job.plan(), []
    for stall_s in job.tried_s:
        probes.append(probe(plan, stall_s, job.watch_s))
        if probes[-1].end not in ("recovered", "returned"):
            break
    return classify(probes)


def classify(probes: Sequence[Probe]) -> MapFinding:
    """The classification, from the probes alone."""
    kind: MapKind = max((KIND_BY_END[one.end] for one in probes), key=KINDS.index, default="unmeasured")
    return MapFinding(kind, tuple(probes), next((one.problem for one in probes if one.problem), ""))


def _decides(job: MapRun) -> dict[str, Any]:
    return {"stalls_s": job.tried_s, "watch_s": job.watch_s, **job.plan().document("virtual", TRANSPORT, "")}


CODEC = Codec("map", MapFinding, _decides, lambda _job, text: MapFinding("unmeasured", (), text))


@dataclass
class MapCell:
    """A point with the findings of its seeds so far."""

    at: At
    findings: dict[int, MapFinding] = field(default_factory=dict)

    @property
    def kind(self) -> MapKind | None:
        """The worst of the seeds."""
        return max((one.kind for one in self.findings.values()), key=KINDS.index, default=None)

    @property
    def share(self) -> float:
        """Share of the seeds with that class."""
        kinds = [one.kind for one in self.findings.values()]
        return kinds.count(self.kind) / len(kinds) if self.kind is not None else 0.0

    @property
    def thresholds_s(self) -> list[float]:
        """The escape thresholds of the seeds that have one, sorted."""
        return sorted(one.tips_at_s for one in self.findings.values() if one.tips_at_s is not None)

    @property
    def threshold_s(self) -> float | None:
        """Median of the escape thresholds, in seconds."""
        return median(self.thresholds_s) if self.thresholds_s else None


@dataclass
class Map:
    """Two axes, the settings common to all points, and the cells by point."""

    x: Axis
    y: Axis
    seeds: tuple[int, ...]
    stalls_s: tuple[float, ...] = STALLS_S
    watch_s: float = WATCH_S
    mitigations: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    size: float = 1.0
    cells: dict[At, MapCell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for at in self.points:
            self.cells[at] = MapCell(at)

    @property
    def points(self) -> list[At]:
        return [((self.x.name, x), (self.y.name, y)) for y in self.y.values for x in self.x.values]

    def cell(self, x: str, y: str) -> MapCell:
        return self.cells[(self.x.name, x), (self.y.name, y)]

    def job(self, at: At, seed: int) -> MapRun:
        return MapRun(at, seed, self.stalls_s, self.watch_s, self.mitigations, self.assignments, self.size)

    @property
    def jobs(self) -> list[MapRun]:
        """All points with the first seed, then with the second, so that an interrupted map covers all points."""
        return [self.job(at, seed) for seed in self.seeds for at in self.points]

    @property
    def done(self) -> int:
        return sum(len(cell.findings) for cell in self.cells.values())

    @property
    def complete(self) -> bool:
        return self.done == len(self.jobs)

    def add(self, job: MapRun, finding: MapFinding) -> None:
        self.cells[job.at].findings[job.seed] = finding

    @property
    def problems(self) -> list[str]:
        """Reasons why points were not measured or not healthy before the first stall, without duplicates."""
        return sorted({one.problem for cell in self.cells.values() for one in cell.findings.values() if one.problem})

    def count(self, kinds: Iterable[MapKind]) -> int:
        wanted = set(kinds)
        return sum(cell.kind in wanted for cell in self.cells.values())
