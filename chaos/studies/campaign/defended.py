"""Whether a run with mitigations had no second wave, over the whole run and without a drain.

Success is measured by operations, as in docs/model.md §4: with a bounded queue a node protects itself by rejections,
and the caller's next attempt succeeds.
"""

from dataclasses import dataclass

from chaos.record.metric_names import ENDED
from chaos.record.record import Of
from chaos.studies.matrix.outcomes import outcome
from chaos.studies.words import figure
from chaos.verdict.figures import SUSTAINED_WINDOW_S
from chaos.verdict.view import View

WORST_SUCCESS_MIN = 0.98
AMPLIFICATION_MAX = 1.2


@dataclass(frozen=True)
class Defended:
    """The result. `failed` names the violated criteria."""

    failed: tuple[str, ...]
    figures: dict[str, float | None]
    note: str

    @property
    def holds(self) -> bool:
        return not self.failed


def judge_defended(view: View) -> Defended:
    """Judges: no second wave; minimum operation success of the pair over 10 s ≥ 0.98; maximum amplification ≤ 1.2.

    A value that could not be measured violates its criterion.
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
    """Minimum operation success of the pair over 10 s, from the start of the policy job to the end."""
    curve = view.record.ratio_curve(
        Of(ENDED, result="success", region=view.pair), Of(ENDED, region=view.pair), SUSTAINED_WINDOW_S
    )
    return view.record.reduce(curve, view.at.trigger, view.at.end, "min")
