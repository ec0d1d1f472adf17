"""Recorder of a run: the metrics of every instance once a second, and every event line in order.

Events and arrivals are flushed with every sample. `metrics.npz` is written by `close()`, which must also be called
after an abort.
"""

import csv
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from chaos.record.files import ARRIVALS_FILE, EVENTS_FILE, METRICS_FILE, LinesFile, seal, whole
from chaos.record.sampler import Sampler
from chaos.record.series import Array, SeriesTable
from chaos.record.shape import LONGEST_S
from loadgen.event_lines import ARRIVAL
from loadgen.event_reader import EventReader
from services.chassis.clock import Clock
from services.chassis.http import HttpClient
from services.chassis.store import Store

ARRIVAL_COLUMNS = ("tenant", "region", "planned_t", "actual_t", "dropped")
SERIES_AT_ONCE = 256
COUNTS = ("_total", "_count", "_bucket")
"""The endings of names of counters."""
MOST = 1e15
"""More than any counter or gauge of ours reaches: bytes, seconds since 1970."""


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
    ) -> None:
        self.series = SeriesTable()
        self.events: list[dict[str, Any]] = []
        self.folder = folder
        self.increase = self.series.increase
        self.last = self.series.last
        self.sampler = Sampler(self.series, http)
        self.attach, self.attach_page = self.sampler.attach, self.sampler.attach_page
        self.watchers: list[Callable[[Mapping[str, Any]], None]] = []
        self._reader = EventReader()
        self._clock = clock
        self._zero_epoch_s = zero_epoch_s
        self._digest = hashlib.sha256()
        self._arrivals = 0
        self._closed = False
        self._events_file, self._arrivals_file = _open(folder, EVENTS_FILE), _open(folder, ARRIVALS_FILE)
        self._arrivals_file.write(",".join(ARRIVAL_COLUMNS) + "\n")
        self._arrival_rows = csv.writer(self._arrivals_file, lineterminator="\n")

    def __repr__(self) -> str:
        return f"<Recorder {len(self.sampler.instances)} instances, {len(self.events)} events, {self.series!r}>"

    # Time

    def t(self) -> float:
        """Current τ: bench seconds since 18:03 UTC."""
        return self._clock.epoch() - self._zero_epoch_s

    async def sample(self) -> None:
        """Appends one row to the table and flushes events and arrivals. Raises OSError as `flush` does."""
        await self.sampler.sample(round(self.t(), 6))
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
    with whole(path) as partial:
        with partial.open("wb") as file:  # a name would get the suffix .npz
            np.savez_compressed(file, times=table.times, series=np.array(series, dtype=np.str_))
        with (
            zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open("values.npy", "w") as values,
        ):
            _write_values(values, table.values)


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
            keys = [(key["name"], key["labels"]) for key in parsed]
            times, values = arrays["times"], arrays["values"]
            _check_table(times, keys, values)
            return SeriesTable.of(times, keys, values)
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a metrics file: {error}") from error


def _check_table(times: Any, keys: list[tuple[Any, Any]], values: Any) -> None:
    if times.ndim != 1 or times.dtype.kind != "f" or values.dtype.kind != "f":
        raise ValueError("times and values that are not numbers")
    if values.shape != (len(keys), len(times)):
        raise ValueError(f"{len(keys)} series and {len(times)} times, but values of shape {values.shape}")
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError("times that are not ascending numbers")
    if (abs(times) > LONGEST_S).any():
        raise ValueError(f"times that are not within {LONGEST_S:g} s")
    seen: set[str] = set()
    for number, (name, labels) in enumerate(keys, 1):
        if not isinstance(name, str) or not isinstance(labels, dict):
            raise ValueError(f"series {number}: `name` is not text, or `labels` is not a mapping")
        if not all(isinstance(text, str) for text in labels.values()):
            raise ValueError(f"series {number}: {name}: a label is not text")
        if name.endswith("_bucket") and not _is_number(labels.get("le", "")):
            raise ValueError(f"series {number}: {name}: the label `le` is not a number")
        if (key := json.dumps((name, labels), sort_keys=True)) in seen:
            raise ValueError(f"series {number}: {name}: is there twice, with the same labels")
        seen.add(key)
        _check_values(f"series {number}: {name}", values[number - 1], counter=name.endswith(COUNTS))


def _check_values(what: str, values: Array, *, counter: bool) -> None:
    """NaN is a gap, and a limit that is off is infinite. Sums of larger finite numbers would be infinite."""
    least = 0.0 if counter else -MOST
    out = values[(values < least) | ((values > MOST) & (counter | np.isfinite(values)))]
    if out.size:
        raise ValueError(f"{what}: values should be between {least:g} and {MOST:g} (got {out[0]:g})")


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


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
