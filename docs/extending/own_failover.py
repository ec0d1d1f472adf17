"""Failover: a first attempt in ten goes to the paired region while the home region fails; retries stay home.

aftershock run azure-fnj8-vqz-short --policy failover=own_failover:OneInTen
"""

from random import Random

from services.policies.outcome import AttemptOutcome


class OneInTen:
    """Learns with an exponentially weighted average of the home region's outcomes."""

    def __init__(self, home: str, alternate: str, share: float = 0.1) -> None:
        self.home = home
        self.alternate = alternate
        self.share = share
        self._healthy = 1.0

    def route(self, now: float, rng: Random, *, is_retry: bool = False) -> str:
        if is_retry or self._healthy > 0.7:
            return self.home
        return self.alternate if rng.random() < self.share else self.home

    def on_outcome(self, region: str, outcome: AttemptOutcome, now: float) -> None:
        if region == self.home and outcome is not AttemptOutcome.IGNORED:
            self._healthy += 0.05 * (float(outcome is AttemptOutcome.SUCCESS) - self._healthy)
