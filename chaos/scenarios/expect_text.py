"""Expectations as sentences, for verdicts, reports and pages."""

from collections.abc import Iterable

from chaos.scenarios.expect import SIGNS, Expectation, ExpectedCondition, SignalLabels
from chaos.scenarios.moments import MomentText

_HOW = {"mean": "", "count": "number of ", "worst": "worst ", "last": "last "}


def predicate(expectation: Expectation) -> str:
    """`T09+2s to T09+16s: attempt_success of eastus < 0.1; …`."""
    sentences = []
    window = ""
    for condition in (one for one in expectation.all if not one.shown):
        now = f"{_choice(expectation.begin(condition))} to {_choice(expectation.end(condition))}"
        sentences.append(("" if now == window else f"{now}: ") + _said(condition))
        window = now
    return "; ".join(sentences)


def bounds_text(condition: ExpectedCondition) -> str:
    """`≥ 0.5 and < 1`."""
    return " and ".join(f"{SIGNS[name]} {bound:g}" for name, bound in condition.bounds.items())


def _said(condition: ExpectedCondition) -> str:
    bounds = bounds_text(condition)
    what = f"{condition.signal}{_of(condition)}"
    over = f" over {condition.over_s:g} s" if condition.over_s is not None else ""
    if condition.reduction != "ever":
        return f"{_HOW[condition.reduction]}{what}{over} {bounds}".rstrip()
    return f"{what}{over} {bounds} at some time".replace("  ", " ") + _before(condition.before)


def _of(labels: SignalLabels) -> str:
    parts = [value if isinstance(value, str) else ", ".join(value) for value in labels.where.values()]
    return f" of {', '.join(parts)}" if parts else ""


def _before(before: str | SignalLabels | None) -> str:
    if before is None:
        return ""
    return f", before {before}" if isinstance(before, str) else f", before the same{_of(before)}"


def _choice(moments: Iterable[MomentText]) -> str:
    return " or ".join(f"{moment:g}" if isinstance(moment, int | float) else moment for moment in moments)
