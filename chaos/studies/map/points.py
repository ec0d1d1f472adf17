"""A point of the map: stalls from short to long, until one is not survived; then a word for what was seen.

    stable      came back from every stall up to the bound, and no collapse outlived its stall
    vulnerable  some stall tipped it: the collapse outlived the stall; then it came back by itself
    metastable  some stall tipped it, and it stayed down, with the load where it was before
    overloaded  it does not work even before the first stall

Bronson et al. call a system that works but can be tipped *vulnerable*, and *metastable* the state that it is then in.
A point of a map has both, so it is called by the worst that the stalls made of it. Why not bisection: a probe that
comes back is cheap, one that does not is dear, so going up costs no more, and need not assume that longer is worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

from pydantic import TypeAdapter

from chaos.experiment.plan import Plan, make_plan, parse_assignment
from chaos.experiment.runs import quiet_libraries
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.studies.cache import Codec
from chaos.studies.map.axes import Axis, AxisEffect, effect
from chaos.studies.map.probe import TRANSPORT, Probe, probe
from services.chassis.settings import Tree, merge

MapKind = Literal["stable", "vulnerable", "metastable", "overloaded", "unmeasured"]
KINDS: tuple[MapKind, ...] = ("stable", "vulnerable", "metastable", "overloaded", "unmeasured")
"""From best to worst; several seeds of a point are called by the worst."""
STALLS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
WATCH_S = 60.0
WORLD = "one-region.yaml"

At = tuple[tuple[str, str], ...]
"""Names and values of a point, as typed."""


@dataclass(frozen=True)
class MapRun:
    """One point with one seed: a value that can be sent to another process."""

    at: At
    seed: int
    stalls_s: tuple[float, ...] = STALLS_S
    watch_s: float = WATCH_S
    mitigations: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()

    @property
    def tried_s(self) -> tuple[float, ...]:
        """The stalls to try: the one that an axis gives, or all."""
        given = [one.stall_s for one in self._effects if one.stall_s is not None]
        return tuple(given) or tuple(sorted(self.stalls_s))

    @property
    def _effects(self) -> list[AxisEffect]:
        return [effect(name, value) for name, value in self.at]

    def plan(self) -> Plan:
        """The run, decided in full. What stands at the point wins over `assignments`.

        Raises:
            SettingsError: for what a user can get wrong.
        """
        effects = self._effects
        tree: Tree = {}
        for text in self.assignments:
            tree = merge(tree, parse_assignment(text))
        for one in effects:
            tree = merge(tree, one.overlay)
        mitigations = [*self.mitigations, *(name for one in effects for name in one.mitigations)]
        scenario = _sized(load(_world()), [one.nodes for one in effects if one.nodes is not None])
        return make_plan(scenario, self.seed, overlays=[tree], mitigations=mitigations)


def _world() -> str:
    from importlib.resources import files

    return str(files(__package__) / WORLD)


def _sized(scenario: Scenario, nodes: Sequence[int]) -> Scenario:
    if not nodes:
        return scenario
    regions = tuple(region.model_copy(update={"identity_nodes": nodes[-1]}) for region in scenario.regions)
    return scenario.model_copy(update={"regions": regions})


@dataclass(frozen=True)
class MapFinding:
    """What the stalls made of one point with one seed."""

    kind: MapKind
    probes: tuple[Probe, ...]
    problem: str = ""

    @property
    def tips_at_s(self) -> float | None:
        """The escape threshold: the shortest stall whose collapse outlived it, or that was not survived."""
        return next((one.stall_s for one in self.probes if one.end in ("returned", "stayed")), None)

    @property
    def stays_at_s(self) -> float | None:
        """The shortest stall that it did not come back from."""
        return next((one.stall_s for one in self.probes if one.end == "stayed"), None)


def perform(job: MapRun) -> MapFinding:
    """Carries the job's probes out in this process, in virtual time."""
    quiet_libraries()
    plan, probes = job.plan(), []
    for stall_s in job.tried_s:
        probes.append(probe(plan, stall_s, job.watch_s))
        if probes[-1].end not in ("recovered", "returned"):
            break
    return classify(probes)


def classify(probes: Sequence[Probe]) -> MapFinding:
    """The word for what was seen; nothing but the probes decides it."""
    ends = {one.end for one in probes}
    problem = next((one.problem for one in probes if one.problem), "")
    kind: MapKind = "stable"
    if not ends or "unmeasured" in ends:
        kind = "unmeasured"
    elif "failing" in ends:
        kind = "overloaded"
    elif "stayed" in ends:
        kind = "metastable"
    elif "returned" in ends:
        kind = "vulnerable"
    return MapFinding(kind, tuple(probes), problem)


def _decides(job: MapRun) -> dict[str, Any]:
    return {"stalls_s": job.tried_s, "watch_s": job.watch_s, **job.plan().document("virtual", TRANSPORT, "")}


CODEC: Codec[MapRun, MapFinding] = Codec(
    "map",
    _decides,
    asdict,
    TypeAdapter(MapFinding).validate_python,
    lambda _job, text: MapFinding("unmeasured", (), text),
)


@dataclass
class MapCell:
    """A point with all its seeds. Empty until the first of them is done."""

    at: At
    findings: dict[int, MapFinding] = field(default_factory=dict)

    @property
    def kind(self) -> MapKind | None:
        """The worst of the seeds."""
        return max((one.kind for one in self.findings.values()), key=KINDS.index, default=None)

    @property
    def share(self) -> float:
        """Of seeds, how many are of that kind."""
        kinds = [one.kind for one in self.findings.values()]
        return kinds.count(self.kind) / len(kinds) if self.kind is not None else 0.0

    @property
    def thresholds_s(self) -> list[float]:
        """The escape thresholds of the seeds that have one, sorted."""
        return sorted(one.tips_at_s for one in self.findings.values() if one.tips_at_s is not None)

    @property
    def threshold_s(self) -> float | None:
        """Their median."""
        return median(self.thresholds_s) if self.thresholds_s else None


@dataclass
class Map:
    """Two axes, what holds everywhere, and the cells by their point. One point alone has no axes."""

    x: Axis
    y: Axis
    seeds: tuple[int, ...]
    stalls_s: tuple[float, ...] = STALLS_S
    watch_s: float = WATCH_S
    mitigations: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
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
        return MapRun(at, seed, self.stalls_s, self.watch_s, self.mitigations, self.assignments)

    @property
    def jobs(self) -> list[MapRun]:
        """Every point with the first seed, then with the second: what is interrupted is thin, not lopsided."""
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
        """What kept points from being measured, or from working before the first stall; each text once."""
        return sorted({one.problem for cell in self.cells.values() for one in cell.findings.values() if one.problem})

    def count(self, kinds: Iterable[MapKind]) -> int:
        wanted = set(kinds)
        return sum(cell.kind in wanted for cell in self.cells.values())
