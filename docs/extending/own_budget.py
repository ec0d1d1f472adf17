"""A retry budget: one retry for every ten successes, and five to begin with.

aftershock run azure-fnj8-vqz-short --policy budget=own_budget:TenPercent
"""

from services.policies.outcome import AttemptOutcome


class TenPercent:
    """Counts in tenths, so that it returns exactly to its maximum."""

    def __init__(self, retries_max: int = 5) -> None:
        self.tenths_max = 10 * retries_max
        self.tenths = self.tenths_max

    def on_request(self, now: float) -> None:
        """Not used: a request that fails earns nothing."""

    def may_retry(self, now: float) -> bool:
        if self.tenths < 10:
            return False
        self.tenths -= 10
        return True

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None:
        if outcome is AttemptOutcome.SUCCESS:
            self.tenths = min(self.tenths_max, self.tenths + 1)
