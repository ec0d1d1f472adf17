"""A run as pandas frames, for notebooks: `Record.load("runs/latest")`. Needs the extra `notebook`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.export.extras import optional
from chaos.export.tables import TABLES, ExportedRun
from chaos.record.record import Filter, RunRecord
from chaos.verdict.verdict import judge

if TYPE_CHECKING:
    import pandas as pd

EXTRA = "notebook"
WINDOW_S = 5.0
TYPES = {"whole number": "int64", "number": "float64", "text": "object", "yes or no": "bool", "JSON": "object"}


class Record:
    """The tables of a run (docs/export.md) as frames, each built when it is first used, and curves of its metrics."""

    def __init__(self, run: ExportedRun) -> None:
        self._pandas = optional("pandas", EXTRA, "Record")
        self._run = run

    @classmethod
    def load(cls, folder: str | Path) -> Record:
        """Reads a run's folder.

        Raises:
            RecordError: it is not a complete record; the message names file and line.
            MissingExtra: pandas is not installed.
        """
        record = RunRecord.load(folder)
        return cls(ExportedRun(record, judge(record)))

    def __repr__(self) -> str:
        plan = self._run.record.plan
        return f"<Record {plan['scenario']} seed {plan.get('seed')}, {self._run.verdict.status}>"

    @property
    def plan(self) -> dict[str, Any]:
        """All inputs of the run."""
        return self._run.record.plan

    @cached_property
    def run(self) -> pd.DataFrame:
        return self._frame("run")

    @cached_property
    def series(self) -> pd.DataFrame:
        return self._frame("series").set_index("series")

    @cached_property
    def samples(self) -> pd.DataFrame:
        return self._frame("samples")

    @cached_property
    def events(self) -> pd.DataFrame:
        return self._frame("events").set_index("event")

    @cached_property
    def arrivals(self) -> pd.DataFrame:
        return self._frame("arrivals")

    @cached_property
    def claims(self) -> pd.DataFrame:
        return self._frame("claims").set_index("id")

    @cached_property
    def figures(self) -> pd.DataFrame:
        return self._frame("figures").set_index("name")

    def rate(self, metric: str, *, by: str = "", window_s: float = WINDOW_S, **where: Filter) -> pd.DataFrame:
        """Increase of a counter per bench s over the `window_s` before each τ; a column per value of label `by`."""
        return self._curves(metric, by, where, lambda name, labels: self._record.rate_curve(name, window_s, **labels))

    def level(self, metric: str, *, by: str = "", **where: Filter) -> pd.DataFrame:
        """Sum of a gauge at each τ, a column per value of label `by`."""
        return self._curves(metric, by, where, lambda name, labels: self._record.curve(name, **labels))

    @property
    def _record(self) -> RunRecord:
        return self._run.record

    def _curves(self, metric: str, by: str, where: dict[str, Filter], curve: Any) -> pd.DataFrame:
        if not self._record.series.knows(metric):
            raise KeyError(f"{metric}: not a metric of this run; `series.metric` lists them")
        groups = {value: {**where, by: value} for value in self._record.label_values(metric, by, **where)}
        columns = {name: curve(metric, labels)[1] for name, labels in (groups if by else {metric: where}).items()}
        return self._pandas.DataFrame(columns, index=self._pandas.Index(self._record.series.times, name="t"))

    def _frame(self, name: str) -> pd.DataFrame:
        table = next(table for table in TABLES if table.name == name)
        batches = list(table.batches(self._run))
        columns = {}
        for column in table.columns:
            parts = [self._pandas.Series(batch[column.name], dtype=TYPES[column.type]) for batch in batches]
            columns[column.name] = self._pandas.concat(parts, ignore_index=True)
        return self._pandas.DataFrame(columns)
