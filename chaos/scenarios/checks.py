"""Checks across the fields of a scenario: known names, times in range, consistent pairs."""

from collections.abc import Iterator

from chaos.scenarios.actions import CancelRemediation, SetLoad, StartRemediation
from chaos.scenarios.document import Loc, ScenarioIssue
from chaos.scenarios.expect_checks import expect_findings
from chaos.scenarios.fault_checks import fault_findings
from chaos.scenarios.model import SECTIONS, Scenario
from loadgen.settings import RATE_MAX_PER_S


def findings(scenario: Scenario) -> Iterator[ScenarioIssue]:
    """All errors of a scenario whose fields are individually valid."""
    yield from _regions(scenario)
    yield from _load(scenario)
    yield from _settings(scenario)
    yield from _carried(scenario)
    yield from _timeline(scenario)
    yield from expect_findings(scenario)


def _unknown(name: str, scenario: Scenario) -> str:
    return f"unknown region {name!r}; known: {', '.join(region.name for region in scenario.regions)}"


def _regions(scenario: Scenario) -> Iterator[ScenarioIssue]:
    pairs: dict[str, str | None] = {}
    for number, region in enumerate(scenario.regions):
        if region.name in pairs:
            yield ("regions", number, "name"), f"{region.name!r} is listed twice"
        pairs[region.name] = region.pair
    for number, region in enumerate(scenario.regions):
        if region.pair is None:
            continue
        loc: Loc = ("regions", number, "pair")
        if region.pair not in pairs:
            yield loc, _unknown(region.pair, scenario)
        elif region.pair == region.name:
            yield loc, "a region cannot be its own pair"
        elif pairs[region.pair] != region.name:
            yield loc, f"{region.pair!r} must name {region.name!r} as its pair too"
    for number, name in enumerate(scenario.remediation.order):
        if name not in pairs:
            yield ("remediation", "order", number), _unknown(name, scenario)


def _load(scenario: Scenario) -> Iterator[ScenarioIssue]:
    known = [region.name for region in scenario.regions]
    yield from ((("load", name), _unknown(name, scenario)) for name in scenario.load if name not in known)
    absent = [name for name in known if name not in scenario.load]
    if absent:
        yield ("load",), f"has no entry for region {absent[0]!r}"


def _carried(scenario: Scenario) -> Iterator[ScenarioIssue]:
    """The total arrival rate must not exceed the limit of the load generator at any time."""
    section = scenario.settings.get("loadgen", {})
    most = section.get("rate_max_per_s", RATE_MAX_PER_S) if isinstance(section, dict) else RATE_MAX_PER_S
    if not isinstance(most, int | float):
        return  # reported elsewhere as an invalid setting
    base = {name: load.token_rate_per_s + load.job_rate_per_s for name, load in scenario.load.items()}
    loc: Loc = ("load",)
    changes: list[tuple[float, Loc, str, float, int]] = []
    for number, entry in enumerate(scenario.timeline):
        if isinstance(action := entry.action, SetLoad):
            changes.append((entry.t, ("timeline", number, "factor"), action.region, action.factor, number))
            if action.for_s is not None:
                changes.append((entry.t + action.for_s, loc, action.region, 1.0, number))
    factors = dict.fromkeys(base, 1.0)
    latest: dict[str, int] = {}
    for _, where, region, factor, number in [(0.0, loc, "", 1.0, -1), *sorted(changes, key=lambda change: change[0])]:
        if where == loc and latest.get(region, number) != number:
            continue  # replaced by a later entry
        latest[region] = number
        factors[region] = factor
        total = sum(rate * factors[name] for name, rate in base.items())
        if total > most:
            yield where, f"makes {total:g} arrivals/s in all; at most {most:g} (loadgen.rate_max_per_s)"
            return


def _settings(scenario: Scenario) -> Iterator[ScenarioIssue]:
    yield from _sections(scenario.settings, ("settings",), (*SECTIONS, "regions"))
    regional = scenario.settings.get("regions", {})
    if not isinstance(regional, dict):
        return
    for name, tree in regional.items():
        loc: Loc = ("settings", "regions", name)
        if name not in {region.name for region in scenario.regions}:
            yield loc, _unknown(name, scenario)
        yield from _sections(tree, loc, SECTIONS)


def _sections(tree: object, loc: Loc, known: tuple[str, ...]) -> Iterator[ScenarioIssue]:
    if not isinstance(tree, dict):
        yield loc, "should be a mapping"
        return
    for name, values in tree.items():
        if name not in known:
            yield (*loc, name), f"unknown section {name!r}; known: {', '.join(known)}"
        elif not isinstance(values, dict):
            yield (*loc, name), "should be a mapping"


def _timeline(scenario: Scenario) -> Iterator[ScenarioIssue]:
    known = {region.name for region in scenario.regions}
    first: dict[str, int] = {}
    for number, entry in enumerate(scenario.timeline):
        loc: Loc = ("timeline", number)
        if entry.id in first:
            yield (*loc, "id"), f"{entry.id!r} is also timeline.{first[entry.id]}"
        first.setdefault(entry.id, number)
        if not 0 <= entry.t <= scenario.duration_s:
            when = "at_s" if entry.at is None else "at"
            hint = f"; on the next day it is '+1d {entry.at}'" if entry.at and entry.t < 0 else ""
            yield (*loc, when), f"is bench second {entry.t:g}, outside 0 … {scenario.duration_s:g}{hint}"
        for place, name in entry.action.named_regions():
            if name not in known:
                yield (*loc, *place), _unknown(name, scenario)
    yield from _order(scenario)
    yield from fault_findings(scenario)


def _order(scenario: Scenario) -> Iterator[ScenarioIssue]:
    """The policy job must be started before it is cancelled, and cancelled before it is started again."""
    number_of = {id(entry): number for number, entry in enumerate(scenario.timeline)}
    running = False
    for entry in scenario.in_order:
        loc: Loc = ("timeline", number_of[id(entry)])
        match entry.action:
            case StartRemediation():
                if running:
                    yield (*loc, "do"), "the policy job is already started"
                running = True
            case CancelRemediation():
                if not running:
                    yield (*loc, "do"), "no policy job was started before"
                running = False
