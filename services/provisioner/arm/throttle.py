"""ARM's throttle: a token bucket per subscription and kind of request. Off unless `throttle_enabled`.

Azure's own since 2024: 250 reads (25/s), 200 writes (10/s), 200 deletes (10/s).
"""

from services.chassis.errors import ServiceError
from services.chassis.http import retry_after
from services.policies.admission import TokenBucket
from services.policies.recent import Recent
from services.provisioner.errors import THROTTLED
from services.provisioner.settings import ProvisionerSettings

READS, WRITES, DELETES = "reads", "writes", "deletes"
OF_METHOD = {"GET": READS, "HEAD": READS, "DELETE": DELETES}
SUBSCRIPTIONS_MAX = 1000


class SubscriptionThrottle:
    """One token bucket per subscription and kind of request."""

    def __init__(self, settings: ProvisionerSettings) -> None:
        self._buckets: Recent[tuple[str, str], TokenBucket] = Recent(SUBSCRIPTIONS_MAX)
        self.settings = settings

    def reconfigure(self, settings: ProvisionerSettings) -> None:
        self.settings = settings
        self._buckets.clear()

    def take(self, method: str, subscription: str, now: float) -> dict[str, str]:
        """Takes a token. Returns the headers with the remaining tokens; empty if the throttle is off.

        Raises:
            ServiceError: 429 with `Retry-After` in whole seconds.
        """
        if not self.settings.throttle_enabled:
            return {}
        group = OF_METHOD.get(method, WRITES)
        bucket = self._bucket(group, subscription.lower(), now)
        if not bucket.take(now):
            headers = {**retry_after(bucket.wait_s(now)), **_remaining(group, 0)}
            raise ServiceError(THROTTLED, target=group, headers=headers)
        return _remaining(group, int(bucket.level(now)))

    def _bucket(self, group: str, subscription: str, now: float) -> TokenBucket:
        bucket = self._buckets.get((group, subscription))
        if bucket is None:
            bucket = self._buckets[group, subscription] = self._make(group, now)
        return bucket

    def _make(self, group: str, now: float) -> TokenBucket:
        settings = self.settings
        rate, burst = {
            READS: (settings.throttle_reads_per_s, settings.throttle_reads_burst),
            WRITES: (settings.throttle_writes_per_s, settings.throttle_writes_burst),
            DELETES: (settings.throttle_deletes_per_s, settings.throttle_deletes_burst),
        }[group]
        return TokenBucket(rate, burst, now=now)


def _remaining(group: str, count: int) -> dict[str, str]:
    return {f"x-ms-ratelimit-remaining-subscription-{group}": str(count)}
