"""The matrix as `matrix.csv`, `matrix.json` and `matrix.html`; each is replaced atomically."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos.experiment.runs import replace
from chaos.studies.files import csv_text, json_text
from chaos.studies.matrix import words
from chaos.studies.matrix.job import CODEC
from chaos.studies.matrix.page import render
from chaos.studies.matrix.summary import EVENTS, Matrix, SummaryRow
from chaos.studies.statistics import Share

CSV_FILE, JSON_FILE, PAGE_FILE = "matrix.csv", "matrix.json", "matrix.html"
NUMBERS = ("mean", "low", "high", "measured", "never")


def write(folder: Path, matrix: Matrix) -> list[Path]:
    texts = {
        CSV_FILE: as_csv(matrix),
        JSON_FILE: json_text(as_document(matrix)),
        PAGE_FILE: render(matrix),
    }
    return [replace(folder / name, text) for name, text in texts.items()]


def as_csv(matrix: Matrix) -> str:
    """One line per cell and outcome; an empty field was not measured."""
    return csv_text(["cell", "kind", "mitigations", "outcome", "unit", *NUMBERS], _lines(matrix))


def _lines(matrix: Matrix) -> Iterator[list[Any]]:
    for row in matrix.rows:
        start = [row.cell.name, row.cell.kind, " ".join(row.cell.mitigations)]
        shares = [*((name, row.shares[name]) for name in EVENTS), *_expected(row)]
        for name, one in shares:
            share = [one.count / one.measured, one.low, one.high] if one.measured else [None] * 3
            yield [*start, name, "share of seeds", *share, one.measured, 0]
        for column in matrix.columns:
            estimate = row.estimates[column.name]
            yield [*start, column.name, column.unit, *(getattr(estimate, name) for name in NUMBERS)]


def _expected(row: SummaryRow) -> list[tuple[str, Share]]:
    return [(f"expect {name}", one) for name, one in row.expected.items()]


def as_document(matrix: Matrix) -> dict[str, Any]:
    return {
        "scenario": matrix.scenario,
        "size": matrix.size,
        "seeds": list(matrix.seeds),
        "mitigations": list(matrix.mitigations),
        "assignments": list(matrix.assignments),
        "commit": matrix.commit,
        "code": matrix.code,
        "headline": words.headline(matrix),
        "expectations": dict(matrix.expectations),
        "columns": [asdict(column) for column in matrix.columns],
        "cells": [_row(row) for row in matrix.rows],
        "repairs": [asdict(one) for one in words.repairs(matrix)],
        "worse_than_none": [
            {
                "cell": one.cell.name,
                "outcome": one.column.name,
                "none": asdict(one.without),
                "with": asdict(one.with_),
            }
            for one in matrix.worse
        ],
        "minimal_sufficient_sets": [
            {**asdict(one), "complete": one.complete, "says": words.sets(one)} for one in matrix.sets
        ],
    }


def _row(row: SummaryRow) -> dict[str, Any]:
    return {
        "cell": row.cell.name,
        "kind": row.cell.kind,
        "mitigations": list(row.cell.mitigations),
        "shares": {name: asdict(one) for name, one in row.shares.items()},
        "expected": {name: asdict(one) for name, one in row.expected.items()},
        "outcomes": {name: asdict(one) for name, one in row.estimates.items()},
        "runs": {str(seed): CODEC.to_document(run) for seed, run in row.runs.items()},
    }
