"""Claims about a counterfactual without effect, judged on two runs of one seed that differ in one respect.

They cannot be judged on a single run; its verdict says where they are judged. The figures of both runs suffice, so a
pair can also be judged from two verdicts on disk.
"""

from typing import Any

from chaos.verdict.claim_sets.fnj8_vqz.controls import CONTROLS
from chaos.verdict.model import ClaimFinding, Conditions, Figures, Pair
from chaos.verdict.times import NEVER

TOLERANCE = 0.2
IMPACTS = {"A": "storage_impact_s", "B": "identity_impact_s"}


def _nothing_to_avoid_it(before: Figures, after: Figures) -> ClaimFinding:
    """`after` are the figures of the run in which only the tenants' clients differ."""
    conditions = Conditions()
    for window, name in IMPACTS.items():
        ratio = _ratio(after.get(name), before.get(name))
        conditions.above(f"impact_{window}_per_incident", ratio, 1 - TOLERANCE)
        conditions.below(f"impact_{window}_per_incident", ratio, 1 + TOLERANCE)
    collapses = (_moment(after.get("time_east_collapse_t")), _moment(after.get("time_west_collapse_t")))
    return (
        conditions.order("east_then_west", *collapses)
        .show("failed_operations_per_incident", _ratio(after.get("failed_operations"), before.get("failed_operations")))
        .show("peak_attempts_per_incident", _ratio(after.get("peak_attempts_per_s"), before.get("peak_attempts_per_s")))
        .finding()
    )


def _ratio(part: Any, whole: Any) -> float | None:
    return part / whole if isinstance(part, int | float) and isinstance(whole, int | float) and whole else None


def _moment(value: Any) -> float | None:
    return NEVER if value == "never" else value


_CAREFUL = Pair(
    "careful-tenants",
    f"with careful tenants ({CONTROLS['careful-tenants'].differs}) storage and identity impact last as long as in the "
    f"incident (± {TOLERANCE:.0%}), and East collapses, then West",
    _nothing_to_avoid_it,
)
PAIRS: dict[str, Pair] = {"M41": _CAREFUL, "C1": _CAREFUL}


def judge_pair(claim_id: str, before: Figures, after: Figures) -> ClaimFinding:
    """Judges a claim on the figures of two verdicts: of the incident, and of the control with the same seed.

    Raises:
        KeyError: the claim is not judged on a pair.
    """
    return PAIRS[claim_id].judge(before, after)
