"""Text of verdicts."""

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """`F1, F2 and F4`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
