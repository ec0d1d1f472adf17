"""A retry layer: full jitter, and no retry of a refusal that does not say when to return.

aftershock run azure-fnj8-vqz-short --policy retry=own_retry:PoliteRetry
"""

from random import Random

from services.policies.retry import FailedAttempt


class PoliteRetry:
    """Waits U(0, base * 2**(n-1)) before attempt n + 1, at most `most_s`."""

    def __init__(self, attempts: int = 3, base_s: float = 0.5, most_s: float = 20.0) -> None:
        self.attempts = attempts
        self.base_s = base_s
        self.most_s = most_s

    def wait_s(self, attempt: FailedAttempt, rng: Random) -> float | None:
        if attempt.number >= self.attempts:
            return None
        if attempt.retry_after_s is not None:
            return attempt.retry_after_s
        if attempt.failure == "shed":
            return None
        return rng.uniform(0.0, min(self.most_s, self.base_s * 2.0 ** (attempt.number - 1)))
