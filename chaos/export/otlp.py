"""The metrics of a run as OTLP: one JSON object a line, as the OpenTelemetry Collector reads and writes files.

A line is an ExportMetricsServiceRequest with all instances at one sample, in order of time. An instance is a resource
(`service.name`, `service.instance.id`, `cloud.region`); its other labels are attributes of the points. Counters are
cumulative sums that start at their first sample, or at the sample after a restart. A series that has ended has a point
with the flag "no recorded value". The traces of a run are already in this form and are copied.
"""

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chaos.export.families import BUCKET, COUNT, SUM, Family, families
from chaos.export.openmetrics import distinct
from chaos.export.tables import ExportedRun
from chaos.record.files import TRACES_FILE, whole
from chaos.record.series import Array, SeriesTable

FILE = "metrics.jsonl"
SCOPE = {"name": "aftershock"}
CUMULATIVE = 2
NO_RECORDED_VALUE = 1
UCUM = {"seconds": "s", "bytes": "By", "ratio": "1"}
KIND_TEXT = {
    "counter": f',"aggregationTemporality":{CUMULATIVE},"isMonotonic":true',
    "histogram": f',"aggregationTemporality":{CUMULATIVE}',
    "gauge": "",
    "summary": "",
}
RESOURCE = {"service": "service.name", "instance": "service.instance.id", "region": "cloud.region"}

_Labels = Mapping[str, str]
ResourceKey = tuple[str, str]


def write_otlp(run: ExportedRun, folder: Path) -> None:
    """Writes the metrics, and copies the traces of the run if it has any."""
    with whole(folder / FILE) as path, path.open("w", encoding="utf-8") as file:
        for line in metric_lines(run.record.series, run.record.zero_epoch_s):
            file.write(line + "\n")
    traces = run.record.folder / TRACES_FILE if run.record.folder else None
    if traces is not None and traces.exists():
        with whole(folder / TRACES_FILE) as path:
            shutil.copyfile(traces, path)


@dataclass
class _Points:
    """One point series of OTLP: a series of the record, or the series of one histogram."""

    attributes: str
    columns: dict[str, int] = field(default_factory=dict)
    """Columns of the table by part: "" for a plain series, else `_sum`, `_count`, and the bound of each bucket."""

    @property
    def main(self) -> int:
        return self.columns.get("", self.columns.get(COUNT, -1))

    @property
    def bounds(self) -> list[str]:
        return sorted((part for part in self.columns if part not in ("", SUM, COUNT)), key=float)


@dataclass
class _Resource:
    """One instance and its metrics."""

    attributes: list[dict[str, Any]]
    metrics: dict[Family, list[_Points]] = field(default_factory=dict)


def metric_lines(table: SeriesTable, zero_s: float) -> Iterator[str]:
    """One ExportMetricsServiceRequest per sample, as JSON.

    The text is put together from parts, because a point is the same in every line but for its numbers: a dictionary of
    each would take ten times as long.
    """
    resources = _resources(table)
    rows = distinct(table)
    values = table.values[rows]
    stamps = [str(round((zero_s + t) * 1e6) * 1000) for t in table.times[rows]]
    starts = _starts(values)
    before: list[float] = [math.nan] * len(table)
    for row, stamp in enumerate(stamps):
        now = values[row].tolist()
        sample = _SampleText(now, before, stamp, [stamps[first] for first in starts[row].tolist()])
        found = [text for resource in resources if (text := sample.resource(resource))]
        yield f'{{"resourceMetrics":[{",".join(found)}]}}'
        before = now


class _SampleText:
    """Writes the points of one sample."""

    def __init__(self, now: list[float], before: list[float], stamp: str, starts: list[str]) -> None:
        self._now, self._before, self._stamp, self._starts = now, before, stamp, starts

    def resource(self, resource: _Resource) -> str:
        metrics = [text for family, rows in resource.metrics.items() if (text := self._metric(family, rows))]
        if not metrics:
            return ""
        attributes, scope = _dumps(resource.attributes), _dumps(SCOPE)
        inner = f'{{"scope":{scope},"metrics":[{",".join(metrics)}]}}'
        return f'{{"resource":{{"attributes":{attributes}}},"scopeMetrics":[{inner}]}}'

    def _metric(self, family: Family, rows: list[_Points]) -> str:
        points = [text for one in rows if (text := self._point(family, one))]
        if not points:
            return ""
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        data = f'"dataPoints":[{",".join(points)}]{KIND_TEXT[family.kind]}'
        kind = "sum" if family.kind == "counter" else family.kind
        return f'{{"name":"{name}","unit":"{UCUM.get(family.unit, "")}","{kind}":{{{data}}}}}'

    def _point(self, family: Family, one: _Points) -> str:
        main = one.main
        value = self._now[main]
        head = f'{{"attributes":{one.attributes},"timeUnixNano":"{self._stamp}"'
        if value != value:
            ended = self._before[main] == self._before[main]
            return f'{head},"flags":{NO_RECORDED_VALUE}}}' if ended else ""
        if family.kind == "gauge":
            return f'{head},"asDouble":{_number(value)}}}'
        head += f',"startTimeUnixNano":"{self._starts[main]}"'
        if family.kind == "counter":
            return f'{head},"asDouble":{_number(value)}}}'
        return f"{head},{self._distribution(family, one)}}}"

    def _distribution(self, family: Family, one: _Points) -> str:
        now = self._now
        text = f'"count":"{now[one.columns[COUNT]]:.0f}","sum":{_number(now[one.columns[SUM]])}'
        if family.kind == "summary":
            return text
        bounds = one.bounds
        totals = [int(now[one.columns[bound]]) for bound in bounds]
        counts = [str(total - below) for total, below in zip(totals, [0, *totals], strict=False)]
        limits = [float(bound) for bound in bounds if bound != "+Inf"]
        return f'{text},"explicitBounds":{_dumps(limits)},"bucketCounts":{_dumps(counts)}'


def _attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def _resources(table: SeriesTable) -> list[_Resource]:
    """The points of each instance.

    `region` is the instance's own only if no metric of it has another one: the labels of a metric override it.
    """
    known = families(table.names)
    regions: dict[ResourceKey, set[str]] = defaultdict(set)
    for labels in table.labels:
        regions[_key(labels)].add(labels.get("region", ""))
    resources: dict[ResourceKey, _Resource] = {}
    series: dict[tuple[str, tuple[tuple[str, str], ...]], _Points] = {}
    for column, (name, labels) in enumerate(table.series()):
        key, family = _key(labels), known[name]
        own = [label for label in RESOURCE if labels.get(label) and (label != "region" or len(regions[key]) == 1)]
        if key not in resources:
            resources[key] = _Resource([_attribute(RESOURCE[label], labels[label]) for label in own])
        group = (family.name, tuple(sorted({**labels, "le": ""}.items())))
        if group not in series:
            others = [
                _attribute(label, value) for label, value in labels.items() if value and label not in (*own, "le")
            ]
            series[group] = _Points(_dumps(others))
            resources[key].metrics.setdefault(family, []).append(series[group])
        series[group].columns[_part(name, family, labels)] = column
    return list(resources.values())


def _key(labels: _Labels) -> ResourceKey:
    return labels.get("service", ""), labels.get("instance", "")


def _part(name: str, family: Family, labels: _Labels) -> str:
    if family.kind not in ("histogram", "summary"):
        return ""
    suffix = name.removeprefix(family.name)
    return labels["le"] if suffix == BUCKET else suffix


def _starts(values: Array) -> Any:
    """For each value the row in which its counter started: where it appeared, or was lower than before."""
    known = np.isfinite(values)
    latest = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    before = np.vstack([np.full((1, values.shape[1]), -1), latest[:-1]]) if len(values) else latest
    previous = np.take_along_axis(values, np.maximum(before, 0), axis=0)
    started = known & ((before < 0) | (values < previous))
    return np.maximum.accumulate(np.where(started, np.arange(len(values))[:, None], 0), axis=0)


def _number(value: float) -> str:
    """A double in proto3's JSON: the infinities are text."""
    return repr(value) if math.isfinite(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
