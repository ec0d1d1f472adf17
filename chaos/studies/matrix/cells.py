"""The rows of the matrix, and the candidates for the smallest sufficient sets; pure functions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from chaos.mitigations import expand

CellKind = Literal["none", "alone", "all-but", "all", "publisher", "set"]
Names = tuple[str, ...]
PUBLISHER = "publisher"


@dataclass(frozen=True)
class MatrixCell:
    """A set of mitigations, and its role in the matrix."""

    kind: CellKind
    mitigations: Names
    of: str = ""
    """The mitigation that is alone or omitted."""

    @property
    def name(self) -> str:
        if self.kind == "alone":
            return self.of
        if self.kind == "all-but":
            return f"all but {self.of}"
        return "+".join(self.mitigations) if self.kind == "set" else self.kind


def cells(mitigations: Names, *, published: bool = True) -> list[MatrixCell]:
    """None, each alone, all but each, all, the publisher's seven. Some may be the same set under two names.

    `published`: the scenario is of the report whose publisher announced the seven.
    """
    alone = [MatrixCell("alone", (name,), name) for name in mitigations]
    but = [MatrixCell("all-but", tuple(other for other in mitigations if other != name), name) for name in mitigations]
    return [
        MatrixCell("none", ()),
        *alone,
        *but,
        MatrixCell("all", mitigations),
        *([MatrixCell("publisher", expand([PUBLISHER]))] if published else []),
    ]


def candidates(mitigations: Names, sufficient: Collection[Names], size: int) -> list[Names]:
    """The sets of that size without a sufficient subset: only these can be minimal.

    `sufficient` must contain every sufficient set of a smaller size.
    """
    known = [frozenset(names) for names in sufficient]
    return [names for names in combinations(mitigations, size) if not any(one <= set(names) for one in known)]


def minimal(sufficient: Iterable[Sequence[str]]) -> list[Names]:
    """The sets that contain no other, smallest first."""
    kept: list[Names] = []
    for names in sorted({tuple(names) for names in sufficient}, key=lambda names: (len(names), names)):
        if not any(set(one) <= set(names) for one in kept):
            kept.append(names)
    return kept
