"""The health gate between two regions: proceed, hold or stop. One correct gate and the three ways it can be wrong.

The report speaks of "the health assessment defect" without saying which (ambiguity A4). Each defect here is a real
query that goes wrong, not a gate that answers yes: ask with a label no series carries, ask about oneself, ask the past.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from chaos.remediation.settings import GateSettings

GateVerdict = Literal["proceed", "hold", "stop"]
PROCEED: GateVerdict = "proceed"
HOLD: GateVerdict = "hold"
STOP: GateVerdict = "stop"
DECISIONS: tuple[tuple[GateVerdict, str], ...] = (
    (PROCEED, "healthy"),
    (PROCEED, "no_data"),
    (PROCEED, "own_success"),
    (HOLD, "no_data"),
    (HOLD, "baking"),
    (STOP, "unhealthy"),
    (STOP, "own_failures"),
)
"""Everything a gate can say; its counters are there from the start."""


class Signals(Protocol):
    """The health service the gate asks. Times are τ; None means that no sample of that region exists."""

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Share of provisioning tries that failed in the window, and how many tries there were."""
        ...


@dataclass(frozen=True, slots=True)
class RolloutWave:
    """One region as the job left it: when it began to change it, and how its own deployments went."""

    region: str
    display: str
    started_t: float
    successful: int
    failed: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says, why, and the figures it looked at (None when there were none)."""

    verdict: GateVerdict
    reason: str
    ratio: float | None = None
    samples: int = 0


def decide(settings: GateSettings, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
    """The decision of the configured gate on `wave` at `now_t`."""
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
    """Stops as soon as enough samples say so; proceeds only after the whole bake time; without data it holds."""
    found = signals.failure_ratio(wave.region, wave.started_t, now_t)
    if found is None or found[1] < settings.samples_min:
        return Decision(HOLD, "no_data", *(found or (None, 0)))
    if found[0] > settings.unhealthy_ratio:
        return Decision(STOP, "unhealthy", *found)
    if now_t - wave.started_t < settings.bake_s:
        return Decision(HOLD, "baking", *found)
    return Decision(PROCEED, "healthy", *found)


def _no_data_is_healthy(settings: GateSettings, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
    """Asks by the region's display name. No series carries it: nothing is found, so nothing is wrong."""
    found = signals.failure_ratio(wave.display, wave.started_t, now_t)
    if found is None:
        return Decision(PROCEED, "no_data")
    return _judge(settings, found)


def _own_success(settings: GateSettings, wave: RolloutWave) -> Decision:
    """Watches whether its own changes succeeded, as Azure's failureThreshold does; an outage fails none of them."""
    total = wave.successful + wave.failed
    if not total:
        return Decision(PROCEED, "own_success")
    ratio = wave.failed / total
    if ratio > settings.failure_threshold_ratio:
        return Decision(STOP, "own_failures", ratio, total)
    return Decision(PROCEED, "own_success", ratio, total)


def _stale_data(settings: GateSettings, signals: Signals, now_t: float, wave: RolloutWave) -> Decision:
    """Reads samples at least `lag_s` old, from before the region was touched."""
    end_t = now_t - settings.lag_s
    found = signals.failure_ratio(wave.region, end_t - settings.stale_window_s, end_t)
    if found is None or not found[1]:
        return Decision(HOLD, "no_data")
    return _judge(settings, found)


def _judge(settings: GateSettings, found: tuple[float, int]) -> Decision:
    if found[0] > settings.unhealthy_ratio:
        return Decision(STOP, "unhealthy", *found)
    return Decision(PROCEED, "healthy", *found)
