"""Reads the metrics of instances into a table: one row per sample.

In process it reads the metric registries, over sockets it scrapes `/metrics`; a contract test checks that both give the
same numbers. The recorder of a run and the controller of an idle testbed both read through this module.
"""

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from chaos.record.series import Array, Columns, SeriesTable
from compose.runtime import ScrapeTarget
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics, RegistryReader
from services.chassis.registry import Instance

INTERVAL_S = 1.0
SCRAPE_TIMEOUT_S = 0.9
IGNORED_SUFFIXES = ("_created",)

Reading = tuple[Columns, list[float]]
"""Columns of the table and their values."""


def keeps_buckets(name: str) -> bool:
    """Whether to record a histogram's buckets.

    They are most of the series, so only those used for percentiles are kept.
    """
    return name.startswith(("identity_", "loadgen_", "provisioner_", "http_"))


class _Columns:
    """The columns of all instances in one table. `names` are the metrics to keep; None keeps all."""

    def __init__(self, table: SeriesTable, names: Collection[str] | None) -> None:
        self._table = table
        self._names = names
        self._known: dict[str, int] = {}

    def keeps(self, name: str) -> bool:
        return self._names is None or name in self._names

    def of(self, name: str, labels: Mapping[str, str]) -> int:
        """The column of a series; a restarted instance with the same name keeps its columns."""
        full = dict(sorted(labels.items()))
        key = json.dumps({"name": name, "labels": full}, separators=(",", ":"))
        column = self._known.get(key)
        if column is None:
            column = self._known[key] = self._table.column(name, full)
        return column


class _Target:
    """The table columns of one instance. Labels of a metric override target labels, as with `honor_labels`."""

    def __init__(self, instance: Instance, columns: _Columns) -> None:
        self.instance = instance
        self._all = columns
        self._base = {"instance": instance.name, "region": instance.region, "service": instance.service}
        self._columns: dict[Any, int] = {}

    def column(self, cache_key: Any, name: str, labels: Mapping[str, str]) -> int:
        column = self._columns[cache_key] = self._all.of(name, {**self._base, **labels})
        return column


class _Registry(_Target):
    """Reads a `Metrics` object in this process."""

    def __init__(self, instance: Instance, metrics: Metrics, columns: _Columns) -> None:
        super().__init__(instance, columns)
        self._reader = RegistryReader(metrics, keeps_buckets, columns.keeps)
        self._order = self._fixed_columns()

    def _fixed_columns(self) -> NDArray[np.intp]:
        cache = self._columns
        columns = [cache[key] if key in cache else self.column(key, key[0], dict(key[1])) for key in self._reader.keys]
        return np.array(columns, dtype=np.intp)

    def read(self) -> Iterator[Reading]:
        """Columns and values: first those of metric cells, whose columns are fixed, then those of computed gauges."""
        if self._reader.refresh():
            self._order = self._fixed_columns()
        yield self._order, self._reader.numbers()
        cache = self._columns
        columns: list[int] = []
        numbers: list[float] = []
        for name, labels, values, number in self._reader.computed():
            column = cache.get((name, values))
            if column is None:
                column = self.column((name, values), name, dict(zip(labels, values, strict=True)))
            columns.append(column)
            numbers.append(number)
        yield columns, numbers


class _Page(_Target):
    """Scrapes the `/metrics` page of an instance."""

    async def fetch(self, http: HttpClient) -> Reading | None:
        """Columns and values; None if the instance does not answer, which leaves a gap in its series."""
        reply = await http.call("GET", f"{self.instance.url}/metrics", timeout_s=SCRAPE_TIMEOUT_S)
        return self.parse(reply.body.decode()) if reply.ok else None

    def parse(self, page: str) -> Reading:
        """Parses a page. The part of a line before the value is parsed once by prometheus-client and cached."""
        columns: list[int] = []
        numbers: list[float] = []
        for line in page.splitlines():
            if not line or line[0] == "#":
                continue
            key, _, number = line.rpartition(" ")
            column = self._columns.get(key)
            if column is None:
                column = self._first_sight(key, line)
            if column >= 0:
                columns.append(column)
                numbers.append(float(number))
        return columns, numbers

    def _first_sight(self, key: str, line: str) -> int:
        kept = self._all.keeps(key.partition("{")[0])
        for family in text_string_to_metric_families(line + "\n") if kept else ():
            for sample in family.samples:
                bucket = sample.name.endswith("_bucket") and not keeps_buckets(sample.name)
                if not bucket and not sample.name.endswith(IGNORED_SUFFIXES):
                    return self.column(key, sample.name, sample.labels)
        self._columns[key] = -1
        return -1


class Sampler:
    """Samples the attached instances. Only the metrics in `names` are kept, or all without it.

    `joins` says that the instances were running before the first sample: the first values of an instance then are not
    increases, because it is unknown when they were counted. In a run every instance starts at 0.
    """

    def __init__(
        self,
        table: SeriesTable,
        http: HttpClient | None = None,
        names: Collection[str] | None = None,
        *,
        joins: bool = False,
    ) -> None:
        self.table = table
        self._http = http
        self._columns = _Columns(table, names)
        self._joins = joins
        self._met: set[str] = set()
        self._registries: dict[str, _Registry] = {}
        self._pages: dict[str, _Page] = {}
        self._followed: dict[str, ScrapeTarget] = {}

    def attach(self, instance: Instance, metrics: Metrics) -> None:
        """Reads this instance's registry in process, from the next sample on."""
        self._registries[instance.name] = _Registry(instance, metrics, self._columns)

    def attach_page(self, instance: Instance) -> None:
        """Scrapes this instance's `/metrics` from the next sample on."""
        if self._http is None:
            raise ValueError(f"{instance.name}: scraping needs an http client")
        self._pages[instance.name] = _Page(instance, self._columns)

    def detach(self, name: str) -> None:
        """Stops reading an instance; its series end here. An unknown name is ignored."""
        self._registries.pop(name, None)
        self._pages.pop(name, None)

    def follow(self, targets: Iterable[ScrapeTarget]) -> None:
        """Attaches the targets that are new, and detaches those of an earlier call that are gone."""
        alive = set()
        for target in targets:
            spec = target.spec
            alive.add(spec.name)
            if self._followed.get(spec.name) == target:
                continue  # a revived instance under an old name has other metrics, or another address
            self._followed[spec.name] = target
            instance = Instance(spec.service, spec.region, spec.name, target.url)
            if target.metrics is not None:
                self.attach(instance, target.metrics)
            else:
                self.attach_page(instance)
        for name in [name for name in self._followed if name not in alive]:
            del self._followed[name]
            self.detach(name)

    @property
    def instances(self) -> list[str]:
        return sorted([*self._registries, *self._pages])

    async def sample(self, t: float) -> None:
        """Appends one row to the table, at time `t`. An instance that does not answer leaves a gap."""
        found = [(name, list(registry.read())) for name, registry in self._registries.items()]
        if self._http is not None and self._pages:
            pages = list(self._pages.items())
            replies = await asyncio.gather(*(page.fetch(self._http) for _, page in pages))
            found += [(name, [reply]) for (name, _), reply in zip(pages, replies, strict=True) if reply]
        row: Array = np.full(len(self.table), np.nan)
        for name, readings in found:
            self._meet(name, readings)
            for columns, numbers in readings:
                row[columns] = numbers
        self.table.append(t, row)

    def _meet(self, name: str, readings: Iterable[Reading]) -> None:
        if self._joins and name not in self._met:
            self._met.add(name)
            for columns, numbers in readings:
                self.table.start_from(columns, numbers)
