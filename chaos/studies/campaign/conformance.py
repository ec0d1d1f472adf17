"""`docs/conformance.md`: the conformance table with the results of a campaign.

A row that does not hold in at least 95 % of the runs needs an explanation (`explanations.yaml` of the claim set); the
page lists rows without one, and the command fails.
"""

from typing import Any

from chaos.report import words
from chaos.report.templates import fill
from chaos.studies.cache import JsonDocument
from chaos.studies.campaign.collect import SHARE_MIN, claims_of
from chaos.studies.page import TEMPLATES
from chaos.verdict.claim_set import ClaimSet, Explanations
from chaos.verdict.words import listed

TEMPLATE = "conformance.md.j2"
EXPECTATIONS = "Expectations of the scenario"
NOT_OBSERVABLE = "not observable in a run"


def render(document: JsonDocument) -> str:
    claims = claims_of(document)
    expected = [_shown(row, row["says"], row["predicate"]) for row in document["expected"]]
    rows = [] if claims is None else [_claim(row, claims) for row in document["rows"]]
    texts = _texts(claims)
    values = {
        "document": document,
        "groups": [(EXPECTATIONS, expected), *_groups(claims, rows)],
        "totals": _totals(document),
        "explained": [(row, texts.rows[row["id"]]) for row in rows if row["id"] in texts.rows],
        "unexplained": [row for row in (*expected, *rows) if row["id"] in unexplained(document)],
        "ambiguities": [(name, text, _resting_on(claims, name)) for name, text in texts.ambiguities.items()],
        "controls": [(claims.controls[row["name"]], row) for row in document["controls"] if claims],
    }
    return fill(TEMPLATES / TEMPLATE, values)


def unexplained(document: JsonDocument) -> list[str]:
    """Rows that do not hold often enough and have no explanation."""
    known = _texts(claims_of(document)).rows
    return [
        row["id"] for row in (*document["expected"], *document["rows"]) if not row["holds"] and row["id"] not in known
    ]


def _texts(claims: ClaimSet | None) -> Explanations:
    return Explanations({}, {}) if claims is None else claims.explanations()


def _groups(claims: ClaimSet | None, rows: list[JsonDocument]) -> list[tuple[str, list[JsonDocument]]]:
    groups = claims.groups if claims else ()
    return [(group.title, [row for row in rows if row["id"].startswith(group.letter)]) for group in groups]


def _claim(row: JsonDocument, claims: ClaimSet) -> JsonDocument:
    claim = next(claim for claim in claims.claims() if claim.id == row["id"])
    check, pair = claims.checks.get(claim.id), claims.pairs.get(claim.id)
    predicate = check.text if check else pair.text if pair else claim.note or NOT_OBSERVABLE
    shown = _shown(row, claim.statement, predicate, "pairs" if pair else "runs")
    return {**shown, "source": claim.source, "rests_on": claim.rests_on}


def _shown(row: JsonDocument, statement: str, predicate: str, what: str = "runs") -> JsonDocument:
    return {
        "id": row["id"],
        "statement": _cell(statement),
        "source": "`expect`",
        "predicate": _cell(predicate),
        "verdict": _verdict(row, what),
        "measured": _cell(_measured(row["example"])),
        "rests_on": "",
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
    """Number of claims by most frequent status, and those that do not hold often enough."""
    usual: dict[str, int] = {}
    for row in document["rows"]:
        status = max(row["counts"], key=row["counts"].__getitem__) if row["counts"] else "not_judged"
        usual[status] = usual.get(status, 0) + 1
    counted = ", ".join(f"{usual[status]} {status.replace('_', ' ')}" for status in words.in_order(usual))
    rare = [row["id"] for row in document["rows"] if not row["holds"]]
    often = f"in at least {SHARE_MIN:.0%} of the runs".replace("%", " %")
    return f"{counted}, by what is most frequent. " + (
        f"Not so {often}: {listed(rare)}" if rare else f"Every row is so {often}"
    )


def _resting_on(claims: ClaimSet | None, ambiguity: str) -> str:
    return ", ".join(claim.id for claim in (claims.claims() if claims else ()) if claim.rests_on == ambiguity)
