"""Recorder of a run: the metrics of every instance once a second, and every event line in order.

In process it reads the metric registries, over sockets it scrapes `/metrics`; a contract test checks that both give the
same numbers. Events and arrivals are flushed with every sample. `metrics.npz` is written by `close()`, which must also
be called after an abort.
"""

import asyncio
import csv
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from chaos.record.files import ARRIVALS_FILE, EVENTS_FILE, METRICS_FILE, LinesFile, named, seal
from chaos.record.series import Array, SeriesTable
from loadgen.event_lines import ARRIVAL
from loadgen.event_reader import EventReader
from services.chassis.clock import Clock
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics, RegistryReader
from services.chassis.registry import Instance
from services.chassis.store import Store

INTERVAL_S = 1.0
SCRAPE_TIMEOUT_S = 0.9
ARRIVAL_COLUMNS = ("tenant", "region", "planned_t", "actual_t", "dropped")
IGNORED_SUFFIXES = ("_created",)
SERIES_AT_ONCE = 256

Columns = NDArray[np.intp]


def keeps_buckets(name: str) -> bool:
    """Whether to record a histogram's buckets.

    They are most of the series, so only those used for percentiles are kept.
    """
    return name.startswith(("identity_", "loadgen_", "provisioner_", "http_"))


class _Target:
    """The table columns of one instance. Labels of a metric override target labels, as with `honor_labels`."""

    def __init__(self, instance: Instance, table: SeriesTable, known: dict[str, int]) -> None:
        self.instance = instance
        self._table = table
        self._known = known
        self._base = {"instance": instance.name, "region": instance.region, "service": instance.service}
        self._columns: dict[Any, int] = {}

    def column(self, cache_key: Any, name: str, labels: Mapping[str, str]) -> int:
        """The column of a series; a restarted instance with the same name keeps its columns."""
        full = dict(sorted({**self._base, **labels}.items()))
        key = json.dumps({"name": name, "labels": full}, separators=(",", ":"))
        column = self._known.get(key)
        if column is None:
            column = self._known[key] = self._table.column(name, full)
        self._columns[cache_key] = column
        return column


class _Registry(_Target):
    """Reads a `Metrics` object in this process."""

    def __init__(self, instance: Instance, metrics: Metrics, table: SeriesTable, known: dict[str, int]) -> None:
        super().__init__(instance, table, known)
        self._reader = RegistryReader(metrics, keeps_buckets)
        self._order = self._fixed_columns()

    def _fixed_columns(self) -> Columns:
        cache = self._columns
        columns = [cache[key] if key in cache else self.column(key, key[0], dict(key[1])) for key in self._reader.keys]
        return np.array(columns, dtype=np.intp)

    def read(self) -> Iterator[tuple[Columns | list[int], list[float]]]:
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

    async def fetch(self, http: HttpClient) -> tuple[list[int], list[float]] | None:
        """Columns and values; None if the instance does not answer, which leaves a gap in its series."""
        reply = await http.call("GET", f"{self.instance.url}/metrics", timeout_s=SCRAPE_TIMEOUT_S)
        return self.parse(reply.body.decode()) if reply.ok else None

    def parse(self, page: str) -> tuple[list[int], list[float]]:
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
        for family in text_string_to_metric_families(line + "\n"):
            for sample in family.samples:
                bucket = sample.name.endswith("_bucket") and not keeps_buckets(sample.name)
                if not bucket and not sample.name.endswith(IGNORED_SUFFIXES):
                    return self.column(key, sample.name, sample.labels)
        self._columns[key] = -1
        return -1


class Recorder:
    """Samples metrics, receives events and arrivals, and answers queries during the run.

    `zero_epoch_s` is the Unix time of τ = 0 (18:03 UTC of the incident). Without a folder the record stays in memory.
    """

    def __init__(
        self,
        clock: Clock,
        zero_epoch_s: float,
        *,
        folder: Path | None = None,
        http: HttpClient | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.series = SeriesTable()
        self.events: list[dict[str, Any]] = []
        self.folder = folder
        self.interval_s = interval_s
        self.increase = self.series.increase
        self.last = self.series.last
        self.watchers: list[Callable[[Mapping[str, Any]], None]] = []
        self._reader = EventReader()
        self._clock = clock
        self._zero_epoch_s = zero_epoch_s
        self._http = http
        self._known: dict[str, int] = {}
        self._registries: dict[str, _Registry] = {}
        self._pages: dict[str, _Page] = {}
        self._digest = hashlib.sha256()
        self._arrivals = 0
        self._closed = False
        self._events_file, self._arrivals_file = _open(folder, EVENTS_FILE), _open(folder, ARRIVALS_FILE)
        self._arrivals_file.write(",".join(ARRIVAL_COLUMNS) + "\n")
        self._arrival_rows = csv.writer(self._arrivals_file, lineterminator="\n")

    def __repr__(self) -> str:
        instances = len(self._registries) + len(self._pages)
        return f"<Recorder {instances} instances, {len(self.events)} events, {self.series!r}>"

    # Instances

    def attach(self, instance: Instance, metrics: Metrics) -> None:
        """Reads this instance's registry in process, from the next sample on."""
        self._registries[instance.name] = _Registry(instance, metrics, self.series, self._known)

    def attach_page(self, instance: Instance) -> None:
        """Scrapes this instance's `/metrics` from the next sample on."""
        if self._http is None:
            raise ValueError(f"{instance.name}: scraping needs an http client")
        self._pages[instance.name] = _Page(instance, self.series, self._known)

    def detach(self, name: str) -> None:
        """Stops reading an instance; its series end here. An unknown name is ignored."""
        self._registries.pop(name, None)
        self._pages.pop(name, None)

    @property
    def instances(self) -> list[str]:
        return sorted([*self._registries, *self._pages])

    # Time

    def t(self) -> float:
        """Current τ: bench seconds since 18:03 UTC."""
        return self._clock.epoch() - self._zero_epoch_s

    async def run(self) -> None:
        """Samples every `interval_s` until cancelled; samples that are too late are skipped."""
        due = self._clock.now()
        while True:
            await self.sample()
            due += self.interval_s
            behind = math.floor((self._clock.now() - due) / self.interval_s)
            if behind >= 1:
                due += behind * self.interval_s
            await asyncio.sleep(max(0.0, due - self._clock.now()))

    async def sample(self) -> None:
        """Appends one row to the table and flushes events and arrivals. Raises OSError as `flush` does."""
        t = round(self.t(), 6)
        parts = [part for registry in self._registries.values() for part in registry.read()]
        if self._pages and self._http is not None:
            pages = await asyncio.gather(*(page.fetch(self._http) for page in list(self._pages.values())))
            parts += [found for found in pages if found]
        row: Array = np.full(len(self.series), np.nan)
        for columns, numbers in parts:
            row[columns] = numbers
        self.series.append(t, row)
        self.flush()

    # Events

    def event(self, event: Mapping[str, Any]) -> None:
        """Records an event line `{"at", "source", "kind", …}`; the event sink of the instances."""
        for watcher in self.watchers:
            watcher(event)
        fields = dict(event)
        t = round(fields.pop("at") - self._zero_epoch_s, 6)
        source, kind = fields.pop("source"), fields.pop("kind")
        if kind == ARRIVAL:
            self._arrival(fields)
            return
        line: dict[str, Any] = {"t": t, "source": source, "kind": kind}
        for name in sorted(fields):
            value = fields[name]
            line[name] = round(value, 6) if isinstance(value, float) else value
        written = _dumps(line)
        self.events.append(line)
        self._digest.update(written.encode())
        self._events_file.write(written)

    def _arrival(self, fields: Mapping[str, Any]) -> None:
        self._arrivals += 1
        planned, actual = fields["planned_at"], fields.get("actual_at")
        self._arrival_rows.writerow(
            (
                fields["tenant"],
                fields["region"],
                f"{planned - self._zero_epoch_s:.6f}",
                "" if actual is None else f"{actual - self._zero_epoch_s:.6f}",
                int(bool(fields.get("dropped", False))),
            )
        )

    async def follow(self, store: Store) -> None:
        """Reads the event lines that processes append to the Redis stream, until cancelled."""
        while True:
            await self._take(store, block_ms=500)

    async def drain(self, store: Store) -> None:
        """Reads the stream until it is empty; for the last lines after the processes have stopped."""
        while await self._take(store, block_ms=None):
            pass

    async def _take(self, store: Store, block_ms: int | None) -> int:
        events = await self._reader.take(store, self._clock.epoch(), block_ms)
        for event in events:
            self.event(event)
        return len(events)

    @property
    def sha256(self) -> str:
        """SHA-256 of `events.jsonl` so far."""
        return self._digest.hexdigest()

    # Files

    def flush(self) -> None:
        """Flushes events and arrivals. Raises OSError, with the name of the file, if a write failed."""
        self._events_file.flush()
        self._arrivals_file.flush()

    def close(self) -> None:
        """Closes the files, writes `metrics.npz` and seals the record. Idempotent; may be called after an abort.

        Raises:
            OSError: a file (named in the error) could not be written; the record is not sealed.
        """
        if self._closed:
            return
        self._closed = True
        with ExitStack() as closing:
            closing.callback(self._arrivals_file.close)
            closing.callback(self._events_file.close)
        if self.folder is not None:
            write_metrics(self.folder / METRICS_FILE, self.series)
            seal(self.folder)


def write_metrics(path: Path, table: SeriesTable) -> None:
    """Writes the table as `times`, `series` (JSON keys) and `values` (series × times); replaces `path` atomically."""
    series = [json.dumps({"name": name, "labels": labels}, separators=(",", ":")) for name, labels in table.series()]
    partial = path.with_suffix(".partial.npz")
    try:
        with named(partial):
            np.savez_compressed(partial, times=table.times, series=np.array(series, dtype=np.str_))
            with (
                zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive,
                archive.open("values.npy", "w") as file,
            ):
                _write_values(file, table.values)
            partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _write_values(file: IO[bytes], values: Array) -> None:
    """Writes `values.T` as an `.npy`, `SERIES_AT_ONCE` series at a time.

    Series-major order compresses five times better than time-major order. Transposing the whole table at once would
    need its memory twice.
    """
    shape = values.shape[::-1]
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    for first in range(0, shape[0], SERIES_AT_ONCE):
        file.write(np.ascontiguousarray(values[:, first : first + SERIES_AT_ONCE].T, dtype="<f8").tobytes())


def read_metrics(path: Path) -> SeriesTable:
    """Reads a file written by `write_metrics`.

    Raises:
        ValueError: it is not a valid metrics file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parsed = [json.loads(key) for key in arrays["series"]]
            return SeriesTable.of(arrays["times"], [(key["name"], key["labels"]) for key in parsed], arrays["values"])
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a metrics file: {error}") from error


def _open(folder: Path | None, name: str) -> LinesFile | io.StringIO:
    return io.StringIO() if folder is None else LinesFile(folder / name)


def _dumps(line: Mapping[str, Any]) -> str:
    try:
        return json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n"
    except ValueError:  # NaN and infinities are not JSON; they must not fail the service that reported them
        return json.dumps(_finite(line), separators=(",", ":")) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
