"""`aftershock matrix --defences`: which single defence suffices without operator actions after the restore."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Column, Table

import chaos.mitigations
from chaos.progress.terminal import table
from chaos.studies.files import json_text
from chaos.studies.matrix.job import CODEC, MatrixRun
from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from chaos.studies.statistics import estimate
from chaos.studies.words import MISSING, figure

FILE = Path(chaos.mitigations.__file__).with_name("defences.yaml")
JSON_FILE = "defences.json"


class Defence(BaseModel):
    """One entry of defences.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    set: tuple[str, ...] = ()
    """Settings as at size 1."""
    model: Annotated[float, Field(ge=0, le=1)] | None = None
    """Operation success in the reference model, if it was evaluated there."""

    def job(self, scenario: str, seed: int, assignments: Sequence[str] = (), size: float | None = None) -> MatrixRun:
        """The run of the defence; `assignments` are settings of the run, whatever its size."""
        return MatrixRun(scenario, seed, (), tuple(assignments), unattended=True, size=size, at_size_1=self.set)


@lru_cache(maxsize=1)
def defences() -> tuple[Defence, ...]:
    """The built-in defences, in the order of the file."""
    return tuple(Defence.model_validate(one) for one in yaml.safe_load(FILE.read_text(encoding="utf-8")))


DefenceOutcomes = Mapping[Defence, Sequence[RunOutcome]]


def defences_table(found: DefenceOutcomes) -> Table:
    """The table, one row per defence."""
    figures = ("success", "model", "wave 2", "worst", "peak ×", "wasted", "E min", "W min")
    shown = table(
        Column("defence, alone", overflow="fold"),
        *(Column(title, no_wrap=True, justify="right") for title in figures),
        title="operation success 36–106 s after the restore, no operator actions",
        caption="worst: minimum success over 10 s; E, W: minutes of saturation in East US and West US",
    )
    for defence, runs in found.items():
        waves = [run.second_wave for run in runs]
        shown.add_row(
            defence.title,
            _mean(runs, OP_SUCCESS),
            figure(defence.model, ".2f"),
            MISSING if None in waves else f"{sum(map(bool, waves))} of {len(waves)}",
            _mean(runs, "worst_success"),
            _mean(runs, "peak_amplification", 1),
            _mean(runs, "wasted_ratio"),
            _mean(runs, "east_saturated_min", 0),
            _mean(runs, "west_saturated_min", 0),
        )
    return shown


def _mean(runs: Sequence[RunOutcome], name: str, digits: int = 2) -> str:
    return figure(estimate([run.values.get(name) for run in runs]).mean, f".{digits}f")


def as_json(scenario: str, found: DefenceOutcomes) -> str:
    rows = [
        {
            **defence.model_dump(mode="json"),
            OP_SUCCESS: asdict(estimate([run.values.get(OP_SUCCESS) for run in runs])),
            "runs": [CODEC.to_document(run) for run in runs],
        }
        for defence, runs in found.items()
    ]
    return json_text({"scenario": scenario, "defences": rows})
