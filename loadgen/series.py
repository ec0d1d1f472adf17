"""Time series in compact arrays: one row a sample, one column a series.

A counter's increase is counted as Prometheus means it but not as it computes it: a value below the last one is a
restart from 0, and a series that appears after the first sample started at 0, so its first value counts in full.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Where = Mapping[str, str | Collection[str]]
Group = tuple[str, ...]

COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
TOLERANCE_S = 1e-6


def matches(labels: Mapping[str, str], where: Where) -> bool:
    """Each filter is an exact value, or a collection of them."""
    for name, wanted in where.items():
        value = labels.get(name)
        if value != wanted if isinstance(wanted, str) else value not in wanted:
            return False
    return True


def increments(values: Array) -> Array:
    """What each row adds to the counters in the columns of `values`; the first row adds nothing."""
    if not values.shape[0]:
        return np.zeros_like(values)
    known = np.isfinite(values)
    rows = np.arange(values.shape[0])[:, None]
    latest = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    filled = np.where(latest >= 0, np.take_along_axis(values, np.maximum(latest, 0), axis=0), 0.0)
    step = np.zeros_like(values)
    step[1:] = filled[1:] - filled[:-1]
    return np.where(step < 0, filled, step)


@dataclass
class _Watch:
    """The running totals of one live query, so that asking again each second costs nothing."""

    name: str
    where: Where
    by: Group
    groups: list[Group] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    totals: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, column: int, labels: Mapping[str, str]) -> None:
        group = tuple(labels.get(name, "") for name in self.by)
        if group not in self.groups:
            self.groups.append(group)
        self.columns.append(column)
        self.members.append(self.groups.index(group))

    def grow(self, rows: int) -> None:
        if self.totals.shape[0] < rows or self.totals.shape[1] < len(self.groups):
            wider = np.zeros((max(rows, self.totals.shape[0]), len(self.groups)))
            wider[: self.totals.shape[0], : self.totals.shape[1]] = self.totals
            self.totals = wider

    def sums(self, row: Array) -> Array:
        sums: Array = np.bincount(self.members, weights=row[self.columns], minlength=len(self.groups)).astype(float)
        return sums


class SeriesTable:
    """All series of a run. Grows by `append`; answers `increase`, `last` and `matrix` at any moment."""

    def __init__(self, rows: int = 1024, columns: int = 1024) -> None:
        self.names: list[str] = []
        self.labels: list[dict[str, str]] = []
        self._by_name: dict[str, list[int]] = {}
        self._times = np.empty(rows)
        self._values = np.full((rows, columns), np.nan)
        self._latest = np.zeros(columns)
        self._rows = 0
        self._watches: dict[tuple[Any, ...], _Watch] = {}

    @classmethod
    def of(cls, times: Array, keys: Sequence[tuple[str, dict[str, str]]], values: Array) -> "SeriesTable":
        """A finished table; `values` is (series, times), as in `metrics.npz`."""
        table = cls(0, 0)
        for name, labels in keys:
            table._register(name, labels)
        table._times, table._rows = np.asarray(times, dtype=float), len(times)
        table._values = np.ascontiguousarray(np.asarray(values, dtype=float).T)
        return table

    def __repr__(self) -> str:
        return f"<SeriesTable {len(self.names)} series, {self._rows} samples>"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def times(self) -> Array:
        return self._times[: self._rows]

    @property
    def values(self) -> Array:
        """(times, series); NaN where a series does not exist."""
        return self._values[: self._rows, : len(self.names)]

    def knows(self, name: str) -> bool:
        return name in self._by_name

    def column(self, name: str, labels: dict[str, str]) -> int:
        """A new column for this series; the caller keeps the number."""
        column = self._register(name, labels)
        if column >= self._values.shape[1]:
            wider = np.full((self._values.shape[0], self._values.shape[1] * 5 // 4 + 64), np.nan)
            wider[:, : self._values.shape[1]] = self._values
            self._values = wider
            self._latest = np.concatenate([self._latest, np.zeros(wider.shape[1] - len(self._latest))])
        for watch in self._watches.values():
            if watch.name == name and matches(labels, watch.where):
                watch.add(column, labels)
        return column

    def _register(self, name: str, labels: dict[str, str]) -> int:
        self.names.append(name)
        self.labels.append(labels)
        column = len(self.names) - 1
        self._by_name.setdefault(name, []).append(column)
        return column

    def append(self, t: float, row: Array) -> None:
        """One sample of every series at time `t`; `row` has one number a column, NaN for what is not there."""
        if self._rows == len(self._times):
            self._times = np.concatenate([self._times, np.empty(max(256, self._rows))])
            more = np.full((len(self._times) - self._rows, self._values.shape[1]), np.nan)
            self._values = np.concatenate([self._values, more])
        width = len(self.names)
        self._times[self._rows] = t
        self._values[self._rows, :width] = row
        known = np.isfinite(row)
        latest = self._latest[:width]
        step = np.where(known, np.where(row >= latest, row - latest, row), 0.0) if self._rows else np.zeros(width)
        latest[known] = row[known]
        for watch in self._watches.values():
            watch.grow(len(self._times))
            if watch.columns:
                before = watch.totals[self._rows - 1] if self._rows else 0.0
                watch.totals[self._rows] = before + watch.sums(step)
        self._rows += 1

    def select(self, name: str, where: Where) -> list[int]:
        """The columns of the series with this name whose labels match."""
        return [column for column in self._by_name.get(name, ()) if matches(self.labels[column], where)]

    def index(self, t: float) -> int:
        """The row of the last sample taken at or before `t`; −1 before the first."""
        return int(np.searchsorted(self.times, t + TOLERANCE_S, side="right")) - 1

    @overload
    def increase(self, name: str, where: Where, start_t: float, end_t: float) -> float | None: ...
    @overload
    def increase(
        self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str]
    ) -> dict[Group, float]: ...
    def increase(
        self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str] | None = None
    ) -> float | dict[Group, float] | None:
        """How much the counters grew between the samples at `start_t` and `end_t`.

        With `by`, one number a group of label values; without, their sum. None (or no group) when no such series
        was ever sampled: nothing recorded is not the same as nothing counted.
        """
        watch = self._watch(name, where, tuple(by or ()))
        first, last = max(self.index(start_t), 0), self.index(end_t)
        if not watch.columns or last < 0:
            return None if by is None else {}
        grown = watch.totals[last] - watch.totals[min(first, last)]
        if by is None:
            return float(grown.sum())
        return {group: float(grown[number]) for number, group in enumerate(watch.groups)}

    def _watch(self, name: str, where: Where, by: Group) -> _Watch:
        shape = tuple((k, v if isinstance(v, str) else tuple(sorted(v))) for k, v in sorted(where.items()))
        watch = self._watches.get((name, shape, by))
        if watch is None:
            watch = self._watches[(name, shape, by)] = _Watch(name, dict(where), by)
            for column in self.select(name, where):
                watch.add(column, self.labels[column])
            watch.grow(len(self._times))
            if watch.columns:
                steps = increments(self.values[:, watch.columns])
                for row, step in enumerate(steps.cumsum(axis=0)):
                    watch.totals[row] = np.bincount(watch.members, weights=step, minlength=len(watch.groups))
        return watch

    @overload
    def last(self, name: str, where: Where) -> float | None: ...
    @overload
    def last(self, name: str, where: Where, by: Sequence[str]) -> dict[Group, float]: ...
    def last(self, name: str, where: Where, by: Sequence[str] | None = None) -> float | dict[Group, float] | None:
        """The newest values, summed (over each group); None (or no group) when nothing matches just now."""
        sums: dict[Group, float] = {}
        if self._rows:
            newest = self._values[self._rows - 1]
            watch = self._watch(name, where, tuple(by or ()))
            for column, member in zip(watch.columns, watch.members, strict=True):
                value = float(newest[column])
                if value == value:
                    group = watch.groups[member]
                    sums[group] = sums.get(group, 0.0) + value
        return sums if by is not None else sums.get(())

    def matrix(self, name: str, where: Where) -> tuple[list[dict[str, str]], Array]:
        """The labels of the matching series and their values, (times, series)."""
        columns = self.select(name, where)
        return [self.labels[column] for column in columns], self.values[:, columns]

    def series(self) -> Iterator[tuple[str, dict[str, str]]]:
        return zip(self.names, self.labels, strict=True)
