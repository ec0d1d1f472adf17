"""Judges the expectations of a scenario on a record."""

from collections.abc import Iterable
from typing import Any

from chaos.record.record import COVER_S, How
from chaos.scenarios.expect import LOWER, Expectation, ExpectedCondition, SignalLabels
from chaos.scenarios.expect_checks import timed
from chaos.scenarios.moments import Moments
from chaos.verdict.model import NO_ACTION, ClaimFinding, Conditions, not_judged
from chaos.verdict.signals import HAPPENINGS, MEASURES, CounterMeasure, first_t
from chaos.verdict.times import Window
from chaos.verdict.view import View

ARRAY_TESTS = {
    "below": lambda values, bound: values < bound,
    "above": lambda values, bound: values > bound,
    "at_most": lambda values, bound: values <= bound,
    "at_least": lambda values, bound: values >= bound,
}


def judge_all(expectations: Iterable[Expectation], view: View) -> ClaimFinding:
    """All expectations as one finding: contradicted if one is, else not judged if one is not."""
    listed = tuple(expectations)
    found = [(one.id, judge_expectation(one, listed, view)) for one in listed]
    for status in ("contradicted", "not_judged"):
        notes = [f"{name}: {finding.note}" for name, finding in found if finding.status == status]
        if notes:
            return ClaimFinding(status, note="; ".join(notes))
    return ClaimFinding("reproduced")


def judge_expectation(expectation: Expectation, others: Iterable[Expectation], view: View) -> ClaimFinding:
    """The finding on one expectation. `others` are those that `before` may name."""
    judge = _Judge(view.drilled, tuple(others))
    return judge.finding(expectation)


class _Judge:
    """Measures conditions on one record, including a drill after the incident."""

    def __init__(self, view: View, others: tuple[Expectation, ...]) -> None:
        self._view = view
        self._others = others
        self._moments = Moments.of_plan(view.record.plan)

    def finding(self, expectation: Expectation) -> ClaimFinding:
        windows = [self._window(expectation, condition) for condition in expectation.all]
        opened = [window for window in windows if window is not None]
        if len(opened) < len(windows) or not all(map(self._moments.knows, expectation.needs)):
            return not_judged(NO_ACTION)
        judged = [window for condition, window in zip(expectation.all, opened, strict=True) if not condition.shown]
        conditions = Conditions(self._reported(expectation, judged))
        for condition, window in zip(expectation.all, opened, strict=True):
            self._add(conditions, condition, window)
        return conditions.finding()

    def _window(self, expectation: Expectation, condition: ExpectedCondition) -> Window | None:
        """None if the plan of the run lacks an entry, or has them in another order."""
        start = self._moments.first_of(expectation.begin(condition))
        end = self._moments.first_of(expectation.end(condition))
        return None if start is None or end is None or start >= end else (start, end)

    def _reported(self, expectation: Expectation, judged: list[Window]) -> Window:
        """The window of the expectation, or all windows of its conditions if it has none of its own."""
        start = self._moments.first_of(expectation.from_ or ())
        end = self._moments.first_of(expectation.to or ())
        return (
            min(window[0] for window in judged) if start is None else start,
            max(window[1] for window in judged) if end is None else end,
        )

    def _add(self, conditions: Conditions, condition: ExpectedCondition, window: Window) -> None:
        if condition.reduction == "ever":
            self._add_moment(conditions, condition, window)
            return
        value = self._value(condition, window)
        if condition.shown:
            conditions.show(condition.key, value)
            return
        for name, bound in condition.bounds.items():
            getattr(conditions, name)(condition.key, value, bound)

    def _add_moment(self, conditions: Conditions, condition: ExpectedCondition, window: Window) -> None:
        t = self._moment(condition, window)
        if condition.shown:
            conditions.show(condition.key, t)
        elif condition.before is None:
            conditions.ever(condition.key, t)
        else:
            conditions.order(condition.key, t, self._later(condition, condition.before, window))

    def _later(self, condition: ExpectedCondition, before: str | SignalLabels, window: Window) -> float | None:
        if isinstance(before, SignalLabels):
            return self._moment(condition.elsewhere(before), window)
        found = timed(self._others, before)
        if found is None:
            return None
        opened = self._window(*found)
        return None if opened is None else self._moment(found[1], opened)

    def _moment(self, condition: ExpectedCondition, window: Window) -> float | None:
        """When the condition was first met."""
        if condition.signal in HAPPENINGS:
            return HAPPENINGS[condition.signal].first_t(self._view, window, condition.where)
        curve = MEASURES[condition.signal].curve(self._view, condition.sample_s, condition.where)
        if curve is None:
            return None

        def met(values: Any) -> Any:
            tests = [ARRAY_TESTS[name](values, bound) for name, bound in condition.bounds.items()]
            return tests[0] if len(tests) == 1 else tests[0] & tests[1]

        return first_t(self._view, curve, (window[0] + condition.sample_s, window[1]), met)

    def _value(self, condition: ExpectedCondition, window: Window) -> float | None:
        if condition.signal in HAPPENINGS:
            return HAPPENINGS[condition.signal].count(self._view, window, condition.where)
        measure = MEASURES[condition.signal]
        if condition.reduction == "count":
            assert isinstance(measure, CounterMeasure), condition.signal
            return measure.count(self._view, window, condition.where)
        if condition.reduction == "mean":
            return measure.mean(self._view, window, condition.where)
        curve = measure.curve(self._view, condition.sample_s, condition.where)
        if curve is None:
            return None
        start = window[0] + condition.sample_s
        if condition.reduction == "last":
            start = max(start, window[1] - COVER_S)  # an older sample says nothing about the end
        return self._view.record.reduce(curve, start, window[1], _how(condition)) if start <= window[1] else None


def _how(condition: ExpectedCondition) -> How:
    """The wrong side of a lower bound is below it."""
    if condition.reduction == "last":
        return "last"
    return "min" if set(condition.bounds) & set(LOWER) else "max"
