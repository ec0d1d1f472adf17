"""Baseline check: whether the testbed was healthy before the first action, and if not, the likely cause.

A slow machine can be the cause only in real time, and then shows as event-loop stalls. A region that collapsed in the
warm-up without such stalls collapsed under its own load: a finding about the settings, not about the machine.
"""

from dataclasses import dataclass
from typing import Any

from chaos.record.machine import stalls_in, worst_lag_s
from chaos.record.metric_names import ATTEMPTS, ENDED
from chaos.record.recorder import Recorder

WINDOW_S = 20.0
SUCCESS_MIN = 0.99
OPERATIONS_MIN = 20
ATTEMPTS_MIN = 0.8
COLLAPSE_SUCCESS = 0.5


class UnhealthyBaseline(RuntimeError):
    """The testbed was not healthy before the first action; the run cannot be judged."""

    def __str__(self) -> str:
        return f"{type(self).__name__}: {super().__str__()}"


class CollapsedInWarmup(UnhealthyBaseline):
    """A region collapsed under its base load."""


class MachineStalled(UnhealthyBaseline):
    """The machine stalled in the warm-up, which makes the measurements of a real-time run invalid."""


class NotEnoughLoad(UnhealthyBaseline):
    """Too few operations completed for a check."""


class PartRefused(UnhealthyBaseline):
    """An instance refused a setting, or a part of the user's own failed: the run would be one without it."""


REFUSALS = ("setting_rejected", "settings_refused", "journey_crashed")
"""Events of an instance that goes on without what was asked for."""


@dataclass(frozen=True)
class Baseline:
    """Measurements of the last `WINDOW_S` seconds before the scenario starts."""

    operations: int
    success_ratio: float
    attempt_ratio: float
    by_region: dict[str, float]
    """Success ratio of attempts, by region."""

    @classmethod
    def of(cls, recorder: Recorder) -> "Baseline":
        now = recorder.t()
        ended = recorder.increase(ENDED, {}, now - WINDOW_S, now, by=("result",))
        tries = recorder.increase(ATTEMPTS, {"layer": "sdk"}, now - WINDOW_S, now, by=("region", "outcome"))
        total, good = sum(ended.values()), sum(value for (_, outcome), value in tries.items() if outcome == "ok")
        sums = {one: sum(v for (region, _), v in tries.items() if region == one) for one, _ in tries}
        return cls(
            operations=int(total),
            success_ratio=ended.get(("success",), 0.0) / total if total else 0.0,
            attempt_ratio=good / sum(tries.values()) if any(tries.values()) else 0.0,
            by_region={one: tries.get((one, "ok"), 0.0) / count for one, count in sorted(sums.items()) if count},
        )

    @property
    def healthy(self) -> bool:
        """Uses attempts as well as operations: a failing operation may take up to 20 s to end, an attempt does not."""
        enough = self.operations >= OPERATIONS_MIN
        return enough and self.success_ratio >= SUCCESS_MIN and self.attempt_ratio >= ATTEMPTS_MIN

    @property
    def collapsed(self) -> list[str]:
        return [region for region, ratio in self.by_region.items() if ratio < COLLAPSE_SUCCESS]

    def problem(self, stalled_s: float, lag_s: float) -> UnhealthyBaseline:
        """The likely cause of an unhealthy baseline.

        `stalled_s` is the total stall time of the machine, `lag_s` the largest event-loop lag; 0 in virtual time.
        """
        if stalled_s:
            return MachineStalled(
                f"the machine stalled for {stalled_s:.1f} s in the warm-up, and {self._seen()}{self._which()}; "
                "run it again when the machine is less busy"
            )
        lag = f"; the largest event-loop lag was {lag_s:.2f} s" if lag_s else ""
        if self.collapsed:
            return CollapsedInWarmup(f"{self._collapse()}{lag}")
        if self.operations < OPERATIONS_MIN:
            return NotEnoughLoad(f"{self._seen()}; at least {OPERATIONS_MIN} operations are required{lag}")
        return UnhealthyBaseline(f"{self._seen()}; required are {SUCCESS_MIN:.0%} and {ATTEMPTS_MIN:.0%}{lag}")

    def _collapse(self) -> str:
        shares = ", ".join(f"{self.by_region[region]:.0%} in {region}" for region in self.collapsed)
        return (
            f"the region{'s' * (len(self.collapsed) > 1)} {' and '.join(self.collapsed)} collapsed before anything was "
            f"injected: {shares} of the attempts succeeded in the last {WINDOW_S:.0f} s. The base load overloads it "
            "with this seed and these settings; choose another seed or a lower load"
        )

    def _seen(self) -> str:
        return (
            f"{self.success_ratio:.1%} of {self.operations} operations and {self.attempt_ratio:.1%} of attempts "
            f"succeeded in the {WINDOW_S:.0f} s before the scenario began"
        )

    def _which(self) -> str:
        return f" ({' and '.join(self.collapsed)} collapsed)" if self.collapsed else ""


def require(recorder: Recorder, observer: str) -> tuple[dict[str, Any], UnhealthyBaseline | None]:
    """The fields of the `baseline` event, and the error if the baseline is not healthy."""
    seen = Baseline.of(recorder)
    refused = next((event for event in recorder.events if event["kind"] in REFUSALS), None)
    fields: dict[str, Any] = {"ok": seen.healthy, "success_ratio": seen.success_ratio, "operations": seen.operations}
    if refused is not None:
        problem: UnhealthyBaseline = PartRefused(f"{refused['source']}: {refused['kind']}: {refused['error']}")
        return {**fields, "ok": False, "reason": type(problem).__name__, "why": str(problem)}, problem
    if seen.healthy:
        return fields, None
    stalled_s = sum(stall.stalled_s for stall in stalls_in(recorder.series, observer))
    problem = seen.problem(stalled_s, worst_lag_s(recorder.series))
    return {**fields, "reason": type(problem).__name__, "why": str(problem)}, problem
