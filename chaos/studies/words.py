"""Text of figures, ranges and counts in the studies."""

from collections.abc import Sequence

from chaos.studies.statistics import Share

MISSING = "–"


def figure(value: float | None, spec: str = "g", unit: str = "") -> str:
    """A figure with its unit, or a dash if it was not measured."""
    return MISSING if value is None else f"{value:{spec}}{unit and f' {unit}'}"


def bounds(low: float | None, high: float | None, spec: str) -> str:
    """` (0.91 to 0.99)`; empty if there is no interval."""
    return "" if low is None or high is None else f" ({low:{spec}} to {high:{spec}})"


def share_text(one: Share) -> str:
    """`3 of 10 (0.11 to 0.60)`."""
    return f"{one.count} of {one.measured}{bounds(one.low, one.high, '.2f')}"


def span(values: Sequence[float], spec: str = "g") -> str:
    """The range of the values: `3–6`; one figure if both ends are formatted equally, a dash if there are no values."""
    if not values:
        return MISSING
    return "–".join(dict.fromkeys(f"{value:{spec}}" for value in (min(values), max(values))))


def count_of(count: int, singular: str) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{count} {singular}{'' if count == 1 else 's'}"
