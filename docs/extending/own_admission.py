"""Admission control at a router: refuses the share of requests that failed of late, but never all of them.

aftershock run azure-fnj8-vqz-short --policy admission=own_admission:FailingShare
"""

from random import Random

from services.policies.outcome import AttemptOutcome


class FailingShare:
    """Learns with an exponentially weighted average of the outcomes."""

    def __init__(self, weight: float = 0.02, reject_max: float = 0.9) -> None:
        self.weight = weight
        self.reject_max = reject_max
        self.failing = 0.0

    def should_reject(self, now: float, rng: Random) -> bool:
        return rng.random() < min(self.reject_max, max(0.0, self.failing - 0.1))

    def on_outcome(self, outcome: AttemptOutcome, now: float) -> None:
        if outcome is not AttemptOutcome.IGNORED:
            self.failing += self.weight * (float(outcome is AttemptOutcome.DROPPED) - self.failing)
