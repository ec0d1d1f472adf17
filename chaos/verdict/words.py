"""Text of verdicts."""

from collections.abc import Sequence


def sized(size: float) -> str:
    """`0.5 times the model's size`; nothing for that of the model (docs/scenarios.md §1)."""
    return "" if size == 1.0 else f"{size:g} times the model's size"


def listed(names: Sequence[str]) -> str:
    """`F1, F2 and F4`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
