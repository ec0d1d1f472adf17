"""ARM's rate limits: one token bucket for reads and one for writes and deletes, per subscription and region."""

from services.blobstore import errors
from services.blobstore.settings import BlobstoreSettings
from services.chassis.clock import Clock
from services.chassis.errors import ServiceError
from services.chassis.http import RETRY_AFTER, retry_after
from services.policies.admission import TokenBucket

READS = "reads"
WRITES = "writes"


class ArmLimits:
    """Azure's documented buckets (250 and 25/s for reads, 200 and 10/s for writes), as settings."""

    def __init__(self, settings: BlobstoreSettings, clock: Clock) -> None:
        self._clock = clock
        self._subscription = settings.subscription_id
        now = clock.now()
        self._buckets = {
            READS: TokenBucket(settings.arm_read_rate_per_s, settings.arm_read_burst, now=now),
            WRITES: TokenBucket(settings.arm_write_rate_per_s, settings.arm_write_burst, now=now),
        }

    def reconfigure(self, settings: BlobstoreSettings) -> None:
        now = self._clock.now()
        self._buckets[READS].set_rate(settings.arm_read_rate_per_s, now, settings.arm_read_burst)
        self._buckets[WRITES].set_rate(settings.arm_write_rate_per_s, now, settings.arm_write_burst)

    def take(self, kind: str) -> None:
        """Admits a request.

        Raises:
            ServiceError: 429 with `Retry-After`, the time until the next token in whole seconds, rounded up.
        """
        bucket, now = self._buckets[kind], self._clock.now()
        if not bucket.take(now):
            headers = retry_after(bucket.wait_s(now))
            raise ServiceError(
                errors.ARM_THROTTLED,
                headers=headers,
                kind=kind.removesuffix("s"),
                subscription=self._subscription,
                wait_s=headers[RETRY_AFTER],
            )

    def remaining(self, kind: str) -> int:
        return int(self._buckets[kind].level(self._clock.now()))
