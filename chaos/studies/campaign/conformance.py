"""`docs/conformance.md`: the conformance table with the results of a campaign.

A row that does not hold in at least 95 % of the runs needs an explanation (`chaos/verdict/explanations.yaml`); the page
lists rows without one, and the command fails.
"""

from typing import Any

from chaos.report import words
from chaos.report.templates import fill
from chaos.studies.cache import JsonDocument
from chaos.studies.page import TEMPLATES
from chaos.verdict import CHECKS, CONTROLS, PAIRS, claims
from chaos.verdict.explanations import explanations

TEMPLATE = "conformance.md.j2"
GROUPS = (
    ("F", "The five facts"),
    ("T", "The timeline"),
    ("M", "The mechanisms"),
    ("S", "Systems and services"),
    ("C", "Customers"),
    ("O", "Other publications"),
)
NOT_OBSERVABLE = "not observable in a run"


def render(document: JsonDocument) -> str:
    """The page in Markdown."""
    rows = [_shown(row) for row in document["rows"]]
    texts = explanations()
    values = {
        "document": document,
        "groups": [(title, [row for row in rows if row["id"].startswith(letter)]) for letter, title in GROUPS],
        "totals": _totals(document),
        "explained": [(row, texts.rows[row["id"]]) for row in rows if row["id"] in texts.rows],
        "unexplained": [row for row in rows if row["id"] in unexplained(document)],
        "ambiguities": [(name, text, _resting_on(name)) for name, text in texts.ambiguities.items()],
        "controls": [(CONTROLS[row["name"]], row) for row in document["controls"] if row["name"] in CONTROLS],
    }
    return fill(TEMPLATES / TEMPLATE, values)


def unexplained(document: JsonDocument) -> list[str]:
    """Rows that do not hold often enough and have no explanation."""
    known = explanations().rows
    return [row["id"] for row in document["rows"] if not row["holds"] and row["id"] not in known]


def _shown(row: JsonDocument) -> JsonDocument:
    claim = next(claim for claim in claims() if claim.id == row["id"])
    check, pair = CHECKS.get(claim.id), PAIRS.get(claim.id)
    predicate = check.text if check else pair.text if pair else claim.note or NOT_OBSERVABLE
    return {
        "id": claim.id,
        "statement": _cell(claim.statement),
        "source": claim.source,
        "predicate": _cell(predicate),
        "verdict": _verdict(row, "pairs" if pair else "runs"),
        "measured": _cell(_measured(row["example"])),
        "rests_on": claim.rests_on,
        "holds": row["holds"],
        "others": row["others"],
    }


def _verdict(row: JsonDocument, what: str) -> str:
    """Counts by status, e.g. `reproduced 20 of 20`."""
    counts: dict[str, int] = row["counts"]
    if not counts:
        return "not judged: no pair in this campaign" if what == "pairs" else "not judged"
    parts = [f"{status.replace('_', ' ')} {counts[status]}" for status in words.in_order(counts)]
    return f"{', '.join(parts)} of {row['runs']}{' pairs' if what == 'pairs' else ''}"


def _measured(example: JsonDocument | None) -> str:
    if not example or not example["measured"]:
        return "–"
    return "; ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in example["measured"].items())


def _value(value: Any) -> str:
    text = words.measured(value)
    return text if len(text) <= 90 else f"{text[:87]}…"


def _cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*")


def _totals(document: JsonDocument) -> str:
    """Number of rows by most frequent status, without the facts, which restate claims."""
    usual: dict[str, int] = {}
    for row in document["rows"]:
        if row["id"].startswith("F"):
            continue
        status = max(row["counts"], key=row["counts"].__getitem__) if row["counts"] else "not_judged"
        usual[status] = usual.get(status, 0) + 1
    return ", ".join(f"{usual[status]} {status.replace('_', ' ')}" for status in words.in_order(usual))


def _resting_on(ambiguity: str) -> str:
    return ", ".join(claim.id for claim in claims() if claim.rests_on == ambiguity)
