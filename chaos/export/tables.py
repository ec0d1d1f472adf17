"""A run as tables: what CSV, Parquet and pandas show. The columns here are also the page docs/export.md.

Nothing is rounded and nothing is lost: plan, events and series of a record can be restored from the tables. `samples`
is long, one row per series and sample, because series come and go with their instances.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chaos.export.families import families
from chaos.record.files import ARRIVALS_FILE
from chaos.record.record import RecordError, RunRecord
from chaos.verdict.verdict import Verdict

ColumnType = Literal["whole number", "number", "text", "yes or no", "JSON"]
Batch = Mapping[str, Any]
"""Some rows of a table: a sequence or an array by column."""

SERIES_AT_ONCE = 256
TARGET = ("instance", "region", "service")
COPIED = ("region", "tenant", "operation", "result", "code", "id", "name", "state")
"""Fields of many kinds of event that have a column of their own beside `fields`."""


@dataclass(frozen=True)
class TableColumn:
    """One column. `unit` is empty for text; `optional` columns may have no value in a row."""

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True)
class ExportedRun:
    """A record with its verdict."""

    record: RunRecord
    verdict: Verdict


@dataclass(frozen=True)
class ExportTable:
    """One table: its columns, and its rows in batches."""

    name: str
    meaning: str
    columns: tuple[TableColumn, ...]
    batches: Callable[[ExportedRun], Iterator[Batch]]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _batch(columns: Sequence[TableColumn], rows: Sequence[Sequence[Any]]) -> Batch:
    turned = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return {column.name: values for column, values in zip(columns, turned, strict=True)}


# run

BLANK: Mapping[str, Any] = {"text": "", "number": float("nan"), "whole number": 0, "JSON": ""}
"""The value of a field that an older plan lacks."""
RUN = (
    TableColumn("scenario", "text", "name of the scenario"),
    TableColumn("seed", "whole number", "seed of the run"),
    TableColumn("size", "number", "size of the run, times that of the model"),
    TableColumn("runtime", "text", "`virtual`, `local` or `compose`"),
    TableColumn("transport", "text", "`http` or `direct`"),
    TableColumn("commit", "text", "commit of Aftershock; ends in `+` if the tree had changes"),
    TableColumn("command", "text", "command that repeats the run"),
    TableColumn("starts_at", "text", "incident time of τ = 0, ISO 8601"),
    TableColumn("warmup_s", "number", "length of the warm-up before τ = 0", "bench s"),
    TableColumn("duration_s", "number", "τ of the end", "bench s"),
    TableColumn("status", "text", "`as_expected`, `contradicted` or `could_not_judge`"),
    TableColumn("plan", "JSON", "the whole of plan.json: all inputs of the run"),
)


def _run(run: ExportedRun) -> Iterator[Batch]:
    plan = run.record.plan
    values = {"status": run.verdict.status, "plan": _json(plan)}
    row = [values.get(column.name, plan.get(column.name, BLANK[column.type])) for column in RUN]
    yield _batch(RUN, [row])


# series and samples

SERIES = (
    TableColumn("series", "whole number", "number of the series, from 0"),
    TableColumn("metric", "text", "name as in docs/metrics.md, with `_total`, `_bucket`, `_sum` or `_count`"),
    TableColumn("kind", "text", "`counter`, `gauge`, `histogram` or `summary`"),
    TableColumn("unit", "text", "unit of the values: `seconds`, `bytes`, `ratio`; empty for a number"),
    TableColumn("instance", "text", "instance that was sampled, such as `identity-eastus-1`"),
    TableColumn("region", "text", "region of the instance, or of what it measures"),
    TableColumn("service", "text", "service of the instance"),
    TableColumn("labels", "JSON", "all labels, the three before included"),
)
SAMPLES = (
    TableColumn("series", "whole number", "number of the series in `series`"),
    TableColumn("sample", "whole number", "number of the sample of the run, from 0; the last two may have the same τ"),
    TableColumn("t", "number", "τ of the sample", "bench s since 18:03 UTC"),
    TableColumn("value", "number", "value; no row where the series did not exist", "as in `series.unit`"),
)


def _series(run: ExportedRun) -> Iterator[Batch]:
    table = run.record.series
    known = families(table.names)
    rows = [
        (
            number,
            name,
            known[name].kind,
            known[name].unit,
            *(labels.get(label, "") for label in TARGET),
            _json(labels),
        )
        for number, (name, labels) in enumerate(table.series())
    ]
    yield _batch(SERIES, rows)


def _samples(run: ExportedRun) -> Iterator[Batch]:
    table = run.record.series
    times, values = table.times, table.values
    for first in range(0, len(table), SERIES_AT_ONCE):
        some = values[:, first : first + SERIES_AT_ONCE].T
        series, sample = np.nonzero(~np.isnan(some))
        yield {"series": series + first, "sample": sample, "t": times[sample], "value": some[series, sample]}


# events and arrivals

EVENTS = (
    TableColumn("event", "whole number", "number of the event, from 0, in the order of events.jsonl"),
    TableColumn("t", "number", "τ of the event", "bench s since 18:03 UTC"),
    TableColumn("source", "text", "instance that reported it"),
    TableColumn("kind", "text", "kind of event, such as `operation`, `action`, `alert`"),
    TableColumn("region", "text", "`region` of the event's fields", optional=True),
    TableColumn("tenant", "text", "`tenant` of the event's fields", optional=True),
    TableColumn("operation", "text", "`operation` of the event's fields", optional=True),
    TableColumn("result", "text", "`result` of the event's fields", optional=True),
    TableColumn("code", "text", "`code` of the event's fields: Azure's error code", optional=True),
    TableColumn("id", "text", "`id` of the event's fields: the row of the timeline", optional=True),
    TableColumn("name", "text", "`name` of the event's fields: the alert", optional=True),
    TableColumn("state", "text", "`state` of the event's fields: `firing` or `resolved`", optional=True),
    TableColumn("duration_s", "number", "`duration_s` of the event's fields", "bench s", optional=True),
    TableColumn("fields", "JSON", "all fields of the event besides `t`, `source` and `kind`"),
)
ARRIVALS = (
    TableColumn("tenant", "text", "tenant that arrives"),
    TableColumn("region", "text", "region in which it arrives"),
    TableColumn("planned_t", "number", "τ of the planned arrival", "bench s since 18:03 UTC"),
    TableColumn("actual_t", "number", "τ at which it was sent", "bench s since 18:03 UTC", optional=True),
    TableColumn("dropped", "yes or no", "whether it was never sent"),
)


def _events(run: ExportedRun) -> Iterator[Batch]:
    rows = []
    for number, event in enumerate(run.record.events):
        fields = {name: value for name, value in event.items() if name not in ("t", "source", "kind")}
        duration = fields.get("duration_s")
        rows.append(
            (
                number,
                float(event["t"]),
                str(event.get("source", "")),
                event["kind"],
                *(None if fields.get(name) is None else str(fields[name]) for name in COPIED),
                float(duration) if isinstance(duration, int | float) else None,
                _json(fields),
            )
        )
    yield _batch(EVENTS, rows)


def _arrival_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            actual_t = float(row["actual_t"]) if row["actual_t"] else None
            yield row["tenant"], row["region"], float(row["planned_t"]), actual_t, row["dropped"] == "1"


def _arrivals(run: ExportedRun) -> Iterator[Batch]:
    if run.record.folder is None:
        yield _batch(ARRIVALS, [])
        return
    path = run.record.folder / ARRIVALS_FILE
    try:
        rows = list(_arrival_rows(path))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: not arrivals: {error!r}") from error
    yield _batch(ARRIVALS, rows)


# verdict

CLAIMS = (
    TableColumn("id", "text", "id of the expectation or claim; claims of the incident are in docs/conformance.md"),
    TableColumn("decides", "yes or no", "whether it is an expectation of the scenario: these decide the status"),
    TableColumn("status", "text", "`reproduced`, `contradicted`, `underspecified`, `narrative` or `not_judged`"),
    TableColumn("statement", "text", "what the scenario expects, or the report says"),
    TableColumn("predicate", "text", "what is compared"),
    TableColumn("from_t", "number", "τ of the begin of the window", "bench s since 18:03 UTC", optional=True),
    TableColumn("to_t", "number", "τ of the end of the window", "bench s since 18:03 UTC", optional=True),
    TableColumn("measured", "JSON", "the numbers that were measured, by name"),
    TableColumn("note", "text", "why it is not reproduced, or what limits it"),
)
FIGURES = (
    TableColumn("name", "text", "name of the figure, as in verdict.json"),
    TableColumn("value", "JSON", 'value; `null` if it could not be measured, `"never"` if it did not happen'),
    TableColumn("unit", "text", "unit of the value; empty for a number"),
)


def _claims(run: ExportedRun) -> Iterator[Batch]:
    rows = []
    for claim in run.verdict.claims:
        values = {**asdict(claim), "measured": _json(claim.measured)}
        values["decides"] = claim.id in run.verdict.expectations
        values["from_t"], values["to_t"] = claim.window or (None, None)
        rows.append([values[column.name] for column in CLAIMS])
    yield _batch(CLAIMS, rows)


def _figures(run: ExportedRun) -> Iterator[Batch]:
    yield _batch(FIGURES, [(name, _json(value), figure_unit(name)) for name, value in run.verdict.figures.items()])


def figure_unit(name: str) -> str:
    """The unit of a key figure, by the end of its name."""
    if name.endswith("_t"):
        return "bench s since 18:03 UTC"
    if name.endswith("_per_s"):
        return "1/bench s"
    return "bench s" if name.endswith("_s") else "ratio" if name.endswith(("_ratio", "_depth")) else ""


TABLES = (
    ExportTable("run", "One row: the run and its inputs.", RUN, _run),
    ExportTable("series", "One row per time series.", SERIES, _series),
    ExportTable("samples", "One row per series and sample.", SAMPLES, _samples),
    ExportTable("events", "One row per event, in order.", EVENTS, _events),
    ExportTable("arrivals", "One row per arrival of the load generator.", ARRIVALS, _arrivals),
    ExportTable(
        "claims", "One row per expectation of the scenario, then one per claim of its claim set.", CLAIMS, _claims
    ),
    ExportTable("figures", "One row per key figure of the verdict.", FIGURES, _figures),
)
