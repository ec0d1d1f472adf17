"""Checks of `expect`: known words, windows inside the run, bounds that can be met and can be missed."""

from collections import Counter
from collections.abc import Iterable, Iterator

from chaos.scenarios.actions import Note
from chaos.scenarios.document import Loc, ScenarioIssue
from chaos.scenarios.expect import LOWER, SIGNS, UPPER, Expectation, ExpectedCondition, SignalLabels
from chaos.scenarios.expect_text import bounds_text
from chaos.scenarios.model import Scenario
from chaos.scenarios.moments import Moments, MomentText, TimelineEntry, parts
from chaos.scenarios.signals import ALERTS
from loadgen.tenant_names import shipped_names

EVER = "ever"
SAMPLED = ("worst", "last", EVER)


def moments_of(scenario: Scenario) -> Moments:
    """The moments that the file itself has, before mitigations and what-ifs."""
    entries = (TimelineEntry(one.id, one.t, not isinstance(one.action, Note)) for one in scenario.timeline)
    return Moments.of(scenario.warmup_s, scenario.duration_s, entries)


def expect_findings(scenario: Scenario) -> Iterator[ScenarioIssue]:
    """All errors, as (location in the scenario, text)."""
    checks = _Checks(scenario)
    for number, expectation in enumerate(scenario.expect):
        loc: Loc = ("expect", number)
        if expectation.id in checks.numbers and checks.numbers[expectation.id] != number:
            yield (*loc, "id"), f"{expectation.id!r} is also expect.{checks.numbers[expectation.id]}"
        yield from checks.expectation(loc, expectation)
    if scenario.claims is not None:
        absent = [name for name in CLAIM_REGIONS[scenario.claims] if name not in checks.regions]
        if absent:
            yield ("claims",), f"the claims {scenario.claims!r} are about regions that the scenario lacks: {absent[0]}"


CLAIM_REGIONS: dict[str, tuple[str, ...]] = {"fnj8-vqz": ("eastus", "westus")}
"""The regions that a claim set is about. A test compares it with the claim sets."""


def _own_tenants(scenario: Scenario) -> Iterator[str]:
    """The names of tenants that the scenario adds, as far as its settings can be read; others check the settings."""
    load = scenario.settings.get("loadgen")
    own = load.get("own_tenants") if isinstance(load, dict) else None
    for tenant in own if isinstance(own, list | tuple) else ():
        if isinstance(tenant, dict) and "slug" in tenant:
            yield str(tenant["slug"])


class _Checks:
    """The names that expectations of one scenario may use."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.regions = [region.name for region in scenario.regions]
        self.tenants = scenario.tenants or (*shipped_names(), *_own_tenants(scenario))
        self.moments = moments_of(scenario)
        self.numbers = {one.id: number for number, one in reversed(list(enumerate(scenario.expect)))}
        self._bounds: dict[tuple[object, ...], tuple[str, float, float, bool]] = {}

    def expectation(self, loc: Loc, expectation: Expectation) -> Iterator[ScenarioIssue]:
        for place, moment in _places(loc, expectation.from_, expectation.to):
            yield from self._moment(place, moment)
        for number, name in enumerate(expectation.needs):
            if not self.moments.knows(name):
                yield (*loc, "needs", number), self._no_entry(name)
        taken = Counter(one.key for one in expectation.all)
        for number, condition in enumerate(expectation.all):
            here: Loc = (*loc, "all", number)
            if taken[condition.key] > 1:
                yield here, f"two values are called {condition.key!r}; one of them needs a 'name'"
            for labels, place in ((condition, here), (condition.before, (*here, "before"))):
                if isinstance(labels, SignalLabels):
                    yield from self._labels(place, condition, labels)
            yield from _reduction(here, condition)
            yield from _bounds(here, condition)
            yield from self._before(here, expectation, condition)
            yield from self._window(here, expectation, condition)
        if all(condition.shown for condition in expectation.all):
            yield loc, "every condition is only shown; one has to be judged"

    def _labels(self, loc: Loc, condition: ExpectedCondition, labels: SignalLabels) -> Iterator[ScenarioIssue]:
        known = {"tenant": self.tenants, "alert": ALERTS}
        for label in labels.where:
            if label not in condition.spec.by:
                given = "regions" if label == "region" and labels.regions is not None else label
                yield (*loc, given), f"{condition.signal} has no {label}; it has {' and '.join(condition.spec.by)}"
            elif label != "region" and (value := getattr(labels, label)) not in known[label]:
                yield (*loc, label), f"unknown {label} {value!r}; known: {', '.join(known[label])}"
        for number, name in enumerate(labels.named_regions):
            place: Loc = (*loc, "region") if labels.regions is None else (*loc, "regions", number)
            if name not in self.regions:
                yield place, f"unknown region {name!r}; known: {', '.join(self.regions)}"
            elif name in labels.named_regions[:number]:
                yield place, f"{name!r} is listed twice"

    def _moment(self, loc: Loc, moment: MomentText) -> Iterator[ScenarioIssue]:
        t, limits = self.moments.at(moment), (self.moments.start, self.moments.last)
        if t is None:
            yield loc, self._no_entry(parts(str(moment))[0])
        elif not limits[0] <= t <= limits[1]:
            yield loc, f"is bench second {t:g}, outside {limits[0]:g} … {limits[1]:g}"

    def _no_entry(self, name: str) -> str:
        known = ("start", "end", *(entry.id for entry in self.moments.entries))
        return f"no entry {name!r} in the timeline; known: {', '.join(known)}"

    def _window(self, loc: Loc, expectation: Expectation, condition: ExpectedCondition) -> Iterator[ScenarioIssue]:
        found = [
            issue
            for place, moment in _places(loc, condition.from_, condition.to)
            for issue in self._moment(place, moment)
        ]
        yield from found
        ends = (*expectation.begin(condition), *expectation.end(condition))
        if found or any(self.moments.at(moment) is None for moment in ends):
            return
        start, end = (
            self.moments.first_of(choice) for choice in (expectation.begin(condition), expectation.end(condition))
        )
        if start is None or end is None:
            return
        where = next((name for name, given in (("to", condition.to), ("from", condition.from_)) if given), "to")
        if start >= end:
            yield (*loc, where), f"the window from bench second {start:g} to {end:g} is empty"
        elif condition.reduction in SAMPLED and condition.sample_s > end - start:
            place = (*loc, "over_s") if condition.over_s is not None else (*loc, where)
            yield place, f"a sample takes {condition.sample_s:g} s, more than from bench second {start:g} to {end:g}"
        else:
            yield from self._consistent(loc, expectation, condition, (start, end))

    def _consistent(
        self, loc: Loc, expectation: Expectation, condition: ExpectedCondition, window: tuple[float, float]
    ) -> Iterator[ScenarioIssue]:
        """Two conditions on one value must leave room for it."""
        if condition.reduction == EVER or condition.shown:
            return
        where = tuple(sorted((label, str(value)) for label, value in condition.where.items()))
        value = (condition.signal, where, condition.reduction, condition.sample_s, window)
        low, high = _range(condition)
        other, least, most, strict = self._bounds.get(value, ("", low, high, False))
        low, high = max(low, least), min(high, most)
        strict = strict or "above" in condition.bounds or "below" in condition.bounds
        self._bounds[value] = (other or expectation.id, low, high, strict)
        if other and (low > high or (low == high and strict)):
            yield loc, f"contradicts {other}: no {condition.signal} can meet both"

    def _before(self, loc: Loc, expectation: Expectation, condition: ExpectedCondition) -> Iterator[ScenarioIssue]:
        if condition.before is None:
            return
        place: Loc = (*loc, "before")
        if condition.reduction != EVER:
            yield place, "needs 'how: ever', which gives the condition a time"
        if not isinstance(condition.before, str):
            if _same(condition, condition.elsewhere(condition.before)):
                yield place, "names the same as the condition itself, which cannot be before itself"
            return
        if condition.before not in self.numbers:
            known = ", ".join(self.numbers)
            yield place, f"unknown expectation {condition.before!r}; known: {known}"
        elif condition.before == expectation.id:
            yield place, "an expectation cannot be before itself"
        elif timed(self.scenario.expect, condition.before) is None:
            yield place, f"{condition.before!r} has no time: it needs exactly one condition with 'how: ever'"
        elif expectation.id in _later(self.scenario.expect, condition.before):
            yield place, f"{condition.before!r} is itself before {expectation.id!r}"


def _same(one: ExpectedCondition, other: ExpectedCondition) -> bool:
    """Whether two forms of a condition are about the same part of their signal."""
    places = [(set(condition.named_regions), condition.tenant, condition.alert) for condition in (one, other)]
    return places[0] == places[1]


def timed(expectations: Iterable[Expectation], name: str) -> tuple[Expectation, ExpectedCondition] | None:
    """The expectation of that id and its condition that has a time; None if it has none, or several."""
    for expectation in expectations:
        found = [one for one in expectation.all if one.reduction == EVER]
        if expectation.id == name and len(found) == 1:
            return expectation, found[0]
    return None


def _later(expectations: Iterable[Expectation], name: str) -> set[str]:
    """All expectations that `name` is before, directly or through others."""
    listed = tuple(expectations)
    after = {one.id: {c.before for c in one.all if isinstance(c.before, str)} for one in listed}
    found: set[str] = set()
    todo = {name}
    while todo:
        found |= (todo := {later for one in todo for later in after.get(one, ())} - found)
    return found


def _places(loc: Loc, *choices: tuple[MomentText, ...] | None) -> Iterator[tuple[Loc, MomentText]]:
    for name, choice in zip(("from", "to"), choices, strict=True):
        for number, moment in enumerate(choice or ()):
            yield (*loc, name, number), moment


def _reduction(loc: Loc, condition: ExpectedCondition) -> Iterator[ScenarioIssue]:
    spec = condition.spec
    if condition.reduction not in spec.reductions:
        yield (*loc, "how"), f"{spec.name} has no {condition.reduction}; it has {', '.join(spec.reductions)}"
    elif condition.over_s is not None and (spec.kind == "events" or condition.reduction in ("mean", "count")):
        yield (*loc, "over_s"), f"has no effect on the {condition.reduction} of {spec.name}"


def _bounds(loc: Loc, condition: ExpectedCondition) -> Iterator[ScenarioIssue]:
    given, spec = condition.bounds, condition.spec
    timed_events = spec.kind == "events" and condition.reduction == EVER
    if timed_events and given:
        yield (*loc, next(iter(given))), "events that ever happened need no comparison; compare their count"
    elif not given and not timed_events and (condition.reduction == EVER or not condition.shown):
        yield loc, f"needs a comparison: one of {', '.join((*LOWER, *UPPER))}"
    for side in (LOWER, UPPER):
        if all(name in given for name in side):
            yield (*loc, side[1]), f"is given beside {side[0]!r}; one of them is enough"
    low, high = _range(condition)
    both = [name for name in given if name in UPPER]
    strict = "above" in given or "below" in given
    if both and len(given) > len(both) and (low > high or (low == high and strict)):
        yield (*loc, both[0]), f"no value is {bounds_text(condition)}"
    if condition.reduction == "worst" and len(given) > 1:
        yield (*loc, both[0]), "'how: worst' takes one comparison: which side is the wrong one?"
    for name, bound in given.items():
        yield from (((*loc, name), text) for text in _idle(condition, name, bound))


def _idle(condition: ExpectedCondition, name: str, bound: float) -> Iterator[str]:
    """A bound that every value meets, or none."""
    spec, sign = condition.spec, SIGNS[name]
    met = {
        "at_least": (bound <= spec.least, bound > spec.most),
        "above": (bound < spec.least, bound >= spec.most),
        "at_most": (bound >= spec.most, bound < spec.least),
        "below": (bound > spec.most, bound <= spec.least),
    }[name]
    if any(met):
        verb = "is always" if met[0] else "is never"
        yield f"{spec.name} {verb} {sign} {bound:g}; it is between {spec.least:g} and {spec.most:g}"


def _range(condition: ExpectedCondition) -> tuple[float, float]:
    given, spec = condition.bounds, condition.spec
    low = max((given[name] for name in LOWER if name in given), default=spec.least)
    high = min((given[name] for name in UPPER if name in given), default=spec.most)
    return low, high
