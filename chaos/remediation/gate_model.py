"""What a health gate is asked and what it answers, for the shipped variants and for a user's own."""

from dataclasses import dataclass
from typing import Literal, Protocol

from services.parts.kind import PartKind

GateVerdict = Literal["proceed", "hold", "stop"]
PROCEED: GateVerdict = "proceed"
HOLD: GateVerdict = "hold"
STOP: GateVerdict = "stop"


class Signals(Protocol):
    """The health signals for the gate. Times are τ in seconds; None means no sample of that region."""

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Failure ratio of the provisioning attempts in the window, and their number."""


@dataclass(frozen=True, slots=True)
class RolloutWave:
    """One region after its changes: start time of the changes (τ), and the results of the deployments."""

    region: str
    display: str
    started_t: float
    successful: int
    failed: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of the gate, its reason, and the values it is based on (None without data)."""

    verdict: GateVerdict
    reason: str
    ratio: float | None = None
    samples: int = 0


class HealthGate(Protocol):
    """Decides between two regions of the policy job whether it goes on. It is asked again while it holds.

    With enough samples it decides within an hour. One instance serves one run of the job.
    """

    def decide(self, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
        """The decision on `wave` at `now_t` (τ, seconds); its `reason` is a word or two for the record."""


GATE = PartKind("gate", HealthGate)
