"""The verdict on a terminal: headline, key figures, expectations, and contradicted claims."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from chaos.progress.terminal import table
from chaos.report import words
from chaos.verdict import Verdict
from chaos.verdict.claim_set import claim_set
from chaos.verdict.verdict import Judged
from chaos.verdict.words import sized

STYLES = {
    "reproduced": "green",
    "contradicted": "bold red",
    "underspecified": "yellow",
    "narrative": "dim",
    "not_judged": "dim",
    "as_expected": "bold green",
    "could_not_judge": "bold yellow",
}
MARKS = {"reproduced": "✔", "contradicted": "✘", "underspecified": "~", "narrative": "·", "not_judged": "·"}
SHOWN_FIGURES = (
    "peak_amplification",
    "peak_attempts_per_s",
    words.COLLAPSES,
    "recovered_t",
    "failed_operations",
    "wasted_ratio",
    "backlog_peak",
    "crashes",
)
COLUMNS_OF_FIGURES = 3


def print_verdict(verdict: Verdict, console: Console, *, all_claims: bool = False) -> None:
    """Prints the expectations with their values, the contradicted claims (or all), and the counts by status."""
    console.print(Panel(_head(verdict), border_style=STYLES[verdict.status], box=box.ROUNDED, expand=False))
    console.print(_figures(verdict))
    if verdict.expected:
        console.print(_claims_table(verdict.expected, "Expectations", "expected"))
    others = verdict.evidence
    shown = others if all_claims else [claim for claim in others if claim.status == "contradicted"]
    if shown:
        console.print(_claims_table(shown, "Claims" if all_claims else "Contradicted claims", "the report says"))
    if others:
        console.print(_tally(verdict))


def _head(verdict: Verdict) -> Text:
    text = Text(words.headline(verdict))
    text.append(f"\n{verdict.status.replace('_', ' ')}", STYLES[verdict.status])
    details = filter(None, (verdict.scenario, f"seed {verdict.seed}", verdict.runtime, sized(verdict.size)))
    text.append(f"  {' · '.join(details)}", "dim")
    return text


def _figures(verdict: Verdict) -> Table:
    grid = Table.grid(padding=(0, 4, 0, 1))
    cells = []
    for name in words.figure_names(SHOWN_FIGURES, verdict):
        value = words.figure(name, verdict.figures.get(name))
        cells.append(Text.assemble((f"{words.label(name)} ", "dim"), (value, "bold")))
    for start in range(0, len(cells), COLUMNS_OF_FIGURES):
        grid.add_row(*cells[start : start + COLUMNS_OF_FIGURES])
    return grid


def _claims_table(rows: Sequence[Judged], title: str, says: str) -> Table:
    shown = table(
        Column(width=1),
        Column("id", no_wrap=True),
        Column(says, ratio=2),
        Column("measured", ratio=3),
        title=title,
    )
    for claim in rows:
        style = STYLES[claim.status]
        detail = claim.note if claim.status == "contradicted" else _numbers(claim)
        shown.add_row(Text(MARKS[claim.status], style), Text(claim.id, style), claim.statement, Text(detail, "dim"))
    return shown


def _numbers(claim: Judged) -> str:
    numbers = [f"{name.replace('_', ' ')} {words.measured(value)}" for name, value in claim.measured.items()]
    return ", ".join(numbers) or claim.note


def _tally(verdict: Verdict) -> Text:
    """`mechanisms 38 reproduced, 1 underspecified · timeline …`."""
    text = Text()
    for heading in claim_set(verdict.claim_set).groups:
        statuses = [claim.status for claim in verdict.evidence if claim.id.startswith(heading.letter)]
        text.append(f"{heading.word:11}", "bold")
        for status in words.in_order(statuses):
            text.append(f" {statuses.count(status)} {status.replace('_', ' ')}", STYLES[status])
        text.append("\n")
    text.rstrip()
    return text
