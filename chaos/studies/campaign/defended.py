"""Whether a defended run had no second wave: the criteria of issue 5, over the whole run, with nobody who drains.

Success is of operations, as in docs/model.md §4: with a bounded queue a refusal is how a node defends itself, and the
caller's next attempt succeeds.
"""

from dataclasses import dataclass

from chaos.record.record import Of
from chaos.studies.matrix.outcomes import outcome
from chaos.studies.words import figure
from chaos.verdict.figures import SUSTAINED_WINDOW_S
from chaos.verdict.view import ENDED, PAIR, View

WORST_SUCCESS_MIN = 0.98
AMPLIFICATION_MAX = 1.2


@dataclass(frozen=True)
class Defended:
    """What was found. `failed` names the criteria that do not hold."""

    failed: tuple[str, ...]
    figures: dict[str, float | None]
    note: str

    @property
    def holds(self) -> bool:
        return not self.failed


def judge_defended(view: View) -> Defended:
    """No second wave; operation success of the pair over the worst 10 s ≥ 0.98; amplification of the worst 10 s ≤ 1.2.

    A figure that could not be measured fails its criterion.
    """
    found = outcome(view)
    worst, amplification = worst_op_success(view), found.values["peak_amplification"]
    checks = {
        "second-wave": found.second_wave is False,
        "worst-10-s-success": worst is not None and worst >= WORST_SUCCESS_MIN,
        "amplification": amplification is not None and amplification <= AMPLIFICATION_MAX,
    }
    failed = tuple(name for name, holds in checks.items() if not holds)
    figures = {"worst_op_success": worst, "peak_amplification": amplification}
    said = ", ".join(f"{name} {figure(value, '.3f')}" for name, value in figures.items())
    return Defended(failed, figures, said if failed else "")


def worst_op_success(view: View) -> float | None:
    """Operations of the pair that ended in the worst 10 s from the policy job's start to the end."""
    curve = view.record.ratio_curve(
        Of(ENDED, result="success", region=PAIR), Of(ENDED, region=PAIR), SUSTAINED_WINDOW_S
    )
    return view.record.reduce(curve, view.at.trigger, view.at.end, "min")
