"""The table of expectations over the seeds: how often each one held, and what was measured, with intervals."""

from collections.abc import Sequence

from rich.table import Column, Table

from chaos.progress.terminal import table
from chaos.scenarios.expect import Expectation
from chaos.studies.campaign.jobs import CampaignResult
from chaos.studies.statistics import Estimate, Share, estimate, share
from chaos.studies.words import MISSING, bounds
from chaos.verdict.model import HOLDS


def expectations_table(expect: Sequence[Expectation], results: Sequence[CampaignResult]) -> Table:
    """One row an expectation, from the unperturbed runs; 95 % intervals in brackets."""
    plain = [result for result in results if not (result.job.control or result.job.perturb)]
    shown = table(
        "",
        Column("expected", overflow="fold"),
        Column("held", no_wrap=True),
        Column("measured", overflow="fold"),
        title=f"expectations over {len(plain)} seeds, 95 % intervals in brackets",
    )
    for one in expect:
        held = share([HOLDS.get(result.claims.get(one.id, "")) for result in plain])
        shown.add_row(one.id, one.says, held_text(held), "\n".join(_measured(one.id, plain)) or MISSING)
    return shown


def held_text(held: Share) -> str:
    """`5 of 5 (57 % to 100 %)`."""
    return f"{held.count} of {held.measured}{bounds(held.low, held.high, '.0%')}" if held.measured else "not judged"


def _measured(id_: str, results: Sequence[CampaignResult]) -> list[str]:
    """The mean of each number over the seeds."""
    values: dict[str, list[float]] = {}
    for result in results:
        for name, value in result.details.get(id_, {}).get("measured", {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(name, []).append(float(value))
    return [f"{name} {estimate_text(estimate(found, least=float('-inf')))}" for name, found in values.items()]


def estimate_text(one: Estimate) -> str:
    """`0.12 (0.08 to 0.16)`; of times also how often there was none."""
    if one.mean is None:
        return f"never in {one.never} of {one.measured}" if one.never else MISSING
    return f"{one.mean:.3g}{bounds(one.low, one.high, '.3g')}"
