"""The health gate between two regions: proceed, hold or stop. One correct variant and three defective ones.

The report mentions "the health assessment defect" without details (ambiguity A4). Each defect here is a wrong query,
not a gate that always answers yes: a label that no series has, a query on the job's own deployments, a query on the
past.
"""

from dataclasses import replace
from typing import get_args

from chaos.remediation.gate_model import HOLD, PROCEED, STOP, Decision, GateVerdict, HealthGate, RolloutWave, Signals
from chaos.remediation.settings import GateSettings
from services.parts.kind import PartError

VERDICTS: tuple[GateVerdict, ...] = get_args(GateVerdict)

DECISIONS: tuple[tuple[GateVerdict, str], ...] = (
    (PROCEED, "healthy"),
    (PROCEED, "no_data"),
    (PROCEED, "own_success"),
    (HOLD, "no_data"),
    (HOLD, "baking"),
    (STOP, "unhealthy"),
    (STOP, "own_failures"),
)
"""All possible decisions; their counters exist from the start."""


OWN_REASON = "own"
"""The reason of a user's gate in metrics; its own words are in the event."""
REASON_MAX = 60


class Gate:
    """The configured gate of one run of the job: a shipped variant, or a user's own."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self._own: HealthGate | None = settings.own()

    def decide(self, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
        if self._own is None:
            return decide(self._settings, signals, wave, now_t)
        made = self._own.decide(signals, wave, now_t)
        if made.verdict not in VERDICTS:
            raise PartError(f"{self._settings.part}: decides {made.verdict!r}; should be {', '.join(VERDICTS)}")
        return replace(made, reason=made.reason[:REASON_MAX])

    def counted_as(self, decision: Decision) -> str:
        """The reason under which the decision is counted."""
        return decision.reason if self._own is None else OWN_REASON


def decide(settings: GateSettings, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
    """The decision of the configured variant on `wave` at `now_t`."""
    match settings.variant:
        case "repaired":
            return _repaired(settings, signals, wave, now_t)
        case "no_data_is_healthy":
            return _no_data_is_healthy(settings, signals, wave, now_t)
        case "own_success":
            return _own_success(settings, wave)
        case "stale_data":
            return _stale_data(settings, signals, now_t, wave)


def _repaired(settings: GateSettings, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
    """Stops as soon as enough samples show failures; proceeds only after the bake time; holds without data."""
    found = signals.failure_ratio(wave.region, wave.started_t, now_t)
    if found is None or found[1] < settings.samples_min:
        return Decision(HOLD, "no_data", *(found or (None, 0)))
    if found[0] > settings.unhealthy_ratio:
        return Decision(STOP, "unhealthy", *found)
    if now_t - wave.started_t < settings.bake_s:
        return Decision(HOLD, "baking", *found)
    return Decision(PROCEED, "healthy", *found)


def _no_data_is_healthy(settings: GateSettings, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
    """Queries by the region's display name, which no series has as a label; takes the empty result for healthy."""
    found = signals.failure_ratio(wave.display, wave.started_t, now_t)
    if found is None:
        return Decision(PROCEED, "no_data")
    return _judge(settings, found)


def _own_success(settings: GateSettings, wave: RolloutWave) -> Decision:
    """Checks whether its own changes succeeded, like Azure's failureThreshold; an outage does not fail them."""
    total = wave.successful + wave.failed
    if not total:
        return Decision(PROCEED, "own_success")
    ratio = wave.failed / total
    if ratio > settings.failure_threshold_ratio:
        return Decision(STOP, "own_failures", ratio, total)
    return Decision(PROCEED, "own_success", ratio, total)


def _stale_data(settings: GateSettings, signals: Signals, now_t: float, wave: RolloutWave) -> Decision:
    """Reads samples at least `lag_s` old, from before the change of the region."""
    end_t = now_t - settings.lag_s
    found = signals.failure_ratio(wave.region, end_t - settings.stale_window_s, end_t)
    if found is None or not found[1]:
        return Decision(HOLD, "no_data")
    return _judge(settings, found)


def _judge(settings: GateSettings, found: tuple[float, int]) -> Decision:
    if found[0] > settings.unhealthy_ratio:
        return Decision(STOP, "unhealthy", *found)
    return Decision(PROCEED, "healthy", *found)
