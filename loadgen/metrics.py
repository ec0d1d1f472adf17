"""Metrics of the load generator. Names and labels: `docs/metrics.md`.

`loadgen_attempts_total` counts management calls; the identity client counts attempts at the identity service
(`identity_client_attempts_total`). Polls of an operation are not attempts: they would look like retries.
"""

from collections.abc import Callable

from services.chassis.metrics import DURATION_BUCKETS_S, Metrics

RESULTS = ("success", "failed", "abandoned")
BUCKETS_S = (*DURATION_BUCKETS_S, 200.0, 500.0)

Increment = Callable[[], None]


class LoadMetrics:
    """Every metric of one load generator."""

    def __init__(self, metrics: Metrics) -> None:
        site = ("tenant", "region")
        self.registry = metrics
        self.started = metrics.counter("loadgen_operations_started_total", "Journeys begun.", site)
        self.ended = metrics.counter("loadgen_operations_total", "Journeys ended.", (*site, "result"))
        self.attempts = metrics.counter(
            "loadgen_attempts_total",
            "Attempts of management calls, by the layer that made them.",
            (*site, "layer", "outcome"),
        )
        self.polls = metrics.counter("loadgen_polls_total", "Polls of running operations.", ("region", "outcome"))
        self.late = metrics.counter(
            "loadgen_arrivals_late_total", "Arrivals sent late, after their planned time.", ("tenant",)
        )
        self.dropped = metrics.counter("loadgen_arrivals_dropped_total", "Arrivals never sent.", ("tenant",))
        self.cached = metrics.counter(
            "loadgen_cached_token_uses_total", "Uses of a cached token, without a request.", site
        )
        self.runner_orders = metrics.counter(
            "loadgen_runner_orders_total",
            "Runners that the pools ordered from the provisioner.",
            ("region", "runner", "result"),
        )
        self.leftovers_deleted = metrics.counter(
            "loadgen_leftovers_deleted_total", "Machines and identities deleted because they are no longer used."
        )
        self.leftovers_forgotten = metrics.counter(
            "loadgen_leftovers_forgotten_total", "Resources that will not be deleted because too many were pending."
        )
        self.duration = metrics.histogram(
            "loadgen_operation_duration_seconds", "Journey time from the intended start.", ("tenant",), BUCKETS_S
        )


class TenantMeter:
    """Pre-bound children of one tenant in one region; rare ones are bound on first use."""

    def __init__(self, metrics: LoadMetrics, tenant: str, region: str) -> None:
        self.started: Increment = metrics.started.labels(tenant, region).inc
        self.late: Increment = metrics.late.labels(tenant).inc
        self.dropped: Increment = metrics.dropped.labels(tenant).inc
        self.cached: Increment = metrics.cached.labels(tenant, region).inc
        self.observe = metrics.duration.labels(tenant).observe
        self.ended = {name: metrics.ended.labels(tenant, region, name).inc for name in RESULTS}
        self._metrics = metrics
        self._tenant, self._region = tenant, region
        self._rare: dict[tuple[str, str], Increment] = {}

    def attempt(self, layer: str, outcome: str) -> None:
        """Counts one attempt of `layer` (`sdk` or `workflow`)."""
        increment = self._rare.get((layer, outcome))
        if increment is None:
            child = self._metrics.attempts.labels(self._tenant, self._region, layer, outcome)
            increment = self._rare[layer, outcome] = child.inc
        increment()

    def poll(self, outcome: str) -> None:
        """Counts one poll of a running operation."""
        increment = self._rare.get(("poll", outcome))
        if increment is None:
            increment = self._rare["poll", outcome] = self._metrics.polls.labels(self._region, outcome).inc
        increment()
