"""Comparison of two runs: differences of plans and figures, and claims whose verdict differs."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from chaos.progress.terminal import table
from chaos.record.record import RunRecord
from chaos.report import words
from chaos.report.table import STYLES
from chaos.verdict import Verdict, judge
from services.chassis.settings import leaves

DESCRIBED = ("scenario", "size", "seed", "runtime", "transport", "mitigations")


@dataclass(frozen=True)
class Comparison:
    """`plan` has the entries that differ, `figures` all figures, `claims` those whose status differs."""

    left: Verdict
    right: Verdict
    plan: dict[str, tuple[Any, Any]]
    figures: dict[str, tuple[Any, Any]]
    claims: dict[str, tuple[str, str]]

    @property
    def same(self) -> bool:
        """Whether both runs have equal figures and verdicts."""
        return not self.claims and all(left == right for left, right in self.figures.values())

    def document(self) -> dict[str, Any]:
        """The JSON document; pairs are [left, right]."""
        changed = {"plan": self.plan, "figures": self.figures, "claims": self.claims}
        pairs = {part: {name: list(pair) for name, pair in rows.items()} for part, rows in changed.items()}
        return {"same": self.same, "left": self.left.status, "right": self.right.status, **pairs}


def compare(left: RunRecord, right: RunRecord) -> Comparison:
    """Judges both records with the current predicates and compares them."""
    one, two = judge(left), judge(right)
    others = {claim.id: claim for claim in two.claims}
    return Comparison(
        left=one,
        right=two,
        plan=_plan_changes(left.plan, right.plan),
        figures={name: (value, two.figures.get(name)) for name, value in one.figures.items()},
        claims={
            claim.id: (claim.status, others[claim.id].status)
            for claim in one.claims
            if claim.id in others and claim.status != others[claim.id].status
        },
    )


def _plan_changes(left: dict[str, Any], right: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    changes = {name: (left.get(name), right.get(name)) for name in DESCRIBED if left.get(name) != right.get(name)}
    if "scenario" in changes:  # everything else follows from that
        return changes
    ours, theirs = flat(left.get("settings") or {}), flat(right.get("settings") or {})
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            changes[name] = (ours.get(name), theirs.get(name))
    before, after = _entries(left), _entries(right)
    for entry in sorted(before.keys() | after.keys()):
        if before.get(entry) != after.get(entry):
            changes[f"timeline {entry}"] = (before.get(entry), after.get(entry))
    return changes


def flat(tree: dict[str, Any]) -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    return {".".join(path): value for path, value in leaves(tree)}


def _entries(plan: dict[str, Any]) -> dict[str, str]:
    rows = (entry for entry in plan.get("timeline", ()) if entry.get("action") != "note")
    return {entry["id"]: f"{entry['action']} at τ {entry['t']:g}" for entry in rows}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints three tables: differences of the plans, figures, claims that changed."""
    names = [f"{v.scenario} seed {v.seed}" for v in (comparison.left, comparison.right)]
    if comparison.plan:
        console.print(_table("What differs", names, comparison.plan, lambda _name, value: _short(value)))
    status = {"verdict": (comparison.left.status, comparison.right.status)}
    console.print(_table("Figures", names, {**status, **comparison.figures}, words.figure))
    if comparison.claims:
        console.print(_table("Claims that changed", names, comparison.claims, lambda _name, value: value))
    else:
        console.print("No claim changed its verdict.")


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _table(title: str, names: list[str], rows: dict[str, tuple[Any, Any]], show: Any) -> Table:
    shown = table(Column(no_wrap=True), *(Column(name, justify="right") for name in names), title=title)
    for name, (left, right) in rows.items():
        changed = left != right
        label = words.label(name)
        plain = "bold" if changed else "dim"
        cells = [Text(show(name, value), STYLES.get(str(value), plain)) for value in (left, right)]
        shown.add_row(Text(label, "" if changed else "dim"), *cells)
    return shown
