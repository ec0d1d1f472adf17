"""Time series in compact arrays: one row per sample, one column per series.

The increase of a counter handles resets like Prometheus (a lower value means a restart from 0), but without its
extrapolation. A series that appears after the first sample started at 0, so its first value counts in full, unless
`start_from` says where it started.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Columns = NDArray[np.intp] | Sequence[int]
Where = Mapping[str, str | Collection[str]]
Group = tuple[str, ...]

TOLERANCE_S = 1e-6


class Samples(Protocol):
    """The samples so far, as alerts, key figures and the gate of the policy job query them.

    Without a matching series there are no groups: not sampled is not the same as zero.
    """

    def increase(self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str]) -> dict[Group, float]:
        """The increase of the matching counters, summed per group."""
        ...

    def last(self, name: str, where: Where, by: Sequence[str]) -> dict[Group, float]:
        """The latest values, summed per group."""
        ...


def matches(labels: Mapping[str, str], where: Where) -> bool:
    """Whether the labels match all filters; a filter is a value or a collection of values."""
    for name, wanted in where.items():
        value = labels.get(name)
        if value != wanted if isinstance(wanted, str) else value not in wanted:
            return False
    return True


def increments(values: Array, starts: Array | float = 0.0) -> Array:
    """Increments of the counters in `values` (rows × counters) at each row; 0 in the first row.

    `starts` are the values before the first row, for counters that have none in it.
    """
    if not values.shape[0]:
        return np.zeros_like(values)
    known = np.isfinite(values)
    rows = np.arange(values.shape[0])[:, None]
    latest = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    filled = np.where(latest >= 0, np.take_along_axis(values, np.maximum(latest, 0), axis=0), starts)
    step = np.zeros_like(values)
    step[1:] = filled[1:] - filled[:-1]
    return np.where(step < 0, filled, step)


@dataclass
class _Watch:
    """Running totals of one live query, which make a repeated query cheap."""

    name: str
    where: Where
    by: Group
    groups: list[Group] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    totals: Array = field(default_factory=lambda: np.zeros((0, 0)))
    _index: NDArray[np.intp] | None = None

    def add(self, column: int, labels: Mapping[str, str]) -> None:
        group = tuple(labels.get(name, "") for name in self.by)
        if group not in self.groups:
            self.groups.append(group)
        self.columns.append(column)
        self.members.append(self.groups.index(group))
        self._index = None

    @property
    def index(self) -> NDArray[np.intp]:
        """The columns as an array, cached: a list would be converted at every sample."""
        if self._index is None:
            self._index = np.array(self.columns, dtype=np.intp)
        return self._index

    def grow(self, rows: int) -> None:
        if self.totals.shape[0] < rows or self.totals.shape[1] < len(self.groups):
            capacity = self.totals.shape[0] if self.totals.shape[0] >= rows else max(256, 2 * rows)
            wider = np.zeros((capacity, len(self.groups)))
            wider[: self.totals.shape[0], : self.totals.shape[1]] = self.totals
            self.totals = wider

    def step(self, row: Array, latest: Array) -> Array:
        """The increase of each group since `latest`; a counter with a lower value restarted from 0."""
        now, before = row[self.index], latest[self.index]
        grown = np.where(np.isfinite(now), np.where(now >= before, now - before, now), 0.0)
        sums: Array = np.bincount(self.members, weights=grown, minlength=len(self.groups)).astype(float)
        return sums


class SeriesTable:
    """All series of a run. Grows with `append`; `increase`, `last` and `matrix` can be queried at any time.

    With `keep`, at least that many of the newest samples are kept, and at most an eighth more.
    """

    def __init__(self, columns: int = 1024, keep: int | None = None) -> None:
        self.names: list[str] = []
        self.labels: list[dict[str, str]] = []
        self._by_name: dict[str, list[int]] = {}
        self._times: list[float] = []
        self._samples: list[Array] = []  # each as wide as the table was then: half the memory of one growing matrix
        self._matrix: Array | None = None
        self._latest = np.zeros(columns)
        self._starts = np.zeros(columns)
        self._keep = keep
        self._watches: dict[tuple[Any, ...], _Watch] = {}

    @classmethod
    def of(cls, times: Array, keys: Sequence[tuple[str, dict[str, str]]], values: Array) -> "SeriesTable":
        """A finished table; `values` is (series, times), as in `metrics.npz`."""
        table = cls(len(keys))
        for name, labels in keys:
            table._register(name, labels)
        table._times = np.asarray(times, dtype=float).tolist()
        table._matrix = np.asarray(values, dtype=float).T
        table._samples = list(table._matrix)
        return table

    def __repr__(self) -> str:
        return f"<SeriesTable {len(self.names)} series, {len(self._times)} samples>"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def times(self) -> Array:
        return np.array(self._times)

    @property
    def values(self) -> Array:
        """Shape (times, series); NaN where a series does not exist. Rebuilt after the table has grown."""
        shape = (len(self._samples), len(self.names))
        if self._matrix is None or self._matrix.shape != shape:
            self._matrix = np.empty(shape)
            for number, (row, sample) in enumerate(zip(self._matrix, self._samples, strict=True)):
                row[: len(sample)] = sample
                row[len(sample) :] = np.nan
                self._samples[number] = row  # frees the sample's own memory, so that the table is never held twice
        return self._matrix

    def _columns(self, columns: Sequence[int]) -> Array:
        """Some columns of `values`, without building the whole matrix while the table grows."""
        if self._matrix is not None and self._matrix.shape == (len(self._samples), len(self.names)):
            return self._matrix[:, columns]
        chosen = np.full((len(self._samples), len(columns)), np.nan)
        index = np.array(columns, dtype=np.intp)
        for row, sample in zip(chosen, self._samples, strict=True):
            known = index < len(sample)
            row[known] = sample[index[known]]
        return chosen

    def knows(self, name: str) -> bool:
        return name in self._by_name

    def column(self, name: str, labels: dict[str, str]) -> int:
        """Adds a column for this series; returns its number."""
        column = self._register(name, labels)
        if column >= len(self._latest):
            more = np.zeros(len(self._latest) // 4 + 64)
            self._latest, self._starts = np.concatenate([self._latest, more]), np.concatenate([self._starts, more])
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
        """Adds a sample at time `t`; `row` has one value per column, NaN where a series has no value."""
        width, before = len(self.names), len(self._times)
        latest = self._latest[:width]
        for watch in self._watches.values():
            watch.grow(before + 1)
            if watch.columns and before:
                watch.totals[before] = watch.totals[before - 1] + watch.step(row, latest)
        self._times.append(t)
        self._samples.append(row)
        known = np.isfinite(row)
        latest[known] = row[known]
        if self._keep is not None and len(self._times) > self._keep + self._keep // 8:
            self._forget(len(self._times) - self._keep)

    def start_from(self, columns: Columns, values: Sequence[float]) -> None:
        """Says that these series, which have no value yet, started from `values` and not from 0."""
        self._latest[columns] = self._starts[columns] = values

    def _forget(self, rows: int) -> None:
        """Drops the oldest samples; the values before the first kept one become the starts of its series."""
        for row in self._samples[:rows]:
            known = np.isfinite(row)
            self._starts[: len(row)][known] = row[known]
        del self._times[:rows], self._samples[:rows]
        self._matrix = None
        for watch in self._watches.values():
            watch.totals = watch.totals[rows:].copy()

    def select(self, name: str, where: Where) -> list[int]:
        """The columns of the series with this name whose labels match."""
        return [column for column in self._by_name.get(name, ()) if matches(self.labels[column], where)]

    def index(self, t: float) -> int:
        """The row of the last sample taken at or before `t`; −1 before the first."""
        return bisect_right(self._times, t + TOLERANCE_S) - 1

    @overload
    def increase(self, name: str, where: Where, start_t: float, end_t: float) -> float | None: ...
    @overload
    def increase(
        self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str]
    ) -> dict[Group, float]: ...
    def increase(
        self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str] | None = None
    ) -> float | dict[Group, float] | None:
        """Increase of the matching counters between the samples at `start_t` and `end_t`.

        With `by`, one number per group of label values; without, their sum. None (or no group) if no such series was
        ever sampled: not recorded is not the same as zero.
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
            if watch.columns and self._times:
                steps = increments(self._columns(watch.columns), self._starts[watch.index])
                for row, step in enumerate(steps.cumsum(axis=0)):
                    watch.totals[row] = np.bincount(watch.members, weights=step, minlength=len(watch.groups))
        return watch

    @overload
    def last(self, name: str, where: Where) -> float | None: ...
    @overload
    def last(self, name: str, where: Where, by: Sequence[str]) -> dict[Group, float]: ...
    def last(self, name: str, where: Where, by: Sequence[str] | None = None) -> float | dict[Group, float] | None:
        """The latest values, summed (per group); None (or no group) if nothing matches in the latest sample."""
        sums: dict[Group, float] = {}
        if self._samples:
            newest = self._samples[-1]
            watch = self._watch(name, where, tuple(by or ()))
            for column, member in zip(watch.columns, watch.members, strict=True):
                value = float(newest[column]) if column < len(newest) else math.nan
                if value == value:
                    group = watch.groups[member]
                    sums[group] = sums.get(group, 0.0) + value
        return sums if by is not None else sums.get(())

    def matrix(self, name: str, where: Where) -> tuple[list[dict[str, str]], Array]:
        """The labels of the matching series and their values, (times, series)."""
        columns = self.select(name, where)
        return [self.labels[column] for column in columns], self._columns(columns)

    def series(self) -> Iterator[tuple[str, dict[str, str]]]:
        return zip(self.names, self.labels, strict=True)
