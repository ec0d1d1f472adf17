"""The metrics of an identity node (`docs/metrics.md` lists them with their meaning)."""

from collections.abc import Callable

from services.chassis.metrics import Metrics, incrementer

RESTART_REASONS = ("sustained_overload", "operator", "configuration")
"""Restart reasons, created at 0: a series that first appears with the value 1 shows no increase."""


class IdentityMetrics:
    """Pre-bound children: a label lookup per request would cost more than the count."""

    def __init__(self, metrics: Metrics, region: str) -> None:
        work = metrics.counter(
            "identity_work_completed_total",
            "Work finished: useful, or wasted because the caller had disconnected.",
            ("region", "outcome"),
        )
        self.useful = incrementer(work.labels(region, "useful"))
        self.wasted = incrementer(work.labels(region, "wasted"))
        self.worked = metrics.counter("identity_work_seconds_total", "Seconds that workers spent on finished work.").inc
        rejected = metrics.counter("identity_rejected_total", "Requests refused, by reason.", ("reason",))
        self.rejected: dict[str, Callable[[], None]] = {
            reason: incrementer(rejected.labels(reason))
            for reason in ("queue_full", "deadline", "throttle", "priority", "limit", "crash")
        }
        self.restarts = metrics.counter(
            "identity_node_restarts_total", "Restarts of the node after a crash.", ("reason",)
        )
        for reason in RESTART_REASONS:
            self.restarts.labels(reason)
        reads = metrics.counter(
            "identity_configuration_reads_total",
            "Reads of its configuration by a starting node, by outcome.",
            ("region", "outcome"),
        )
        self._configuration_reads = {
            outcome: incrementer(reads.labels(region, outcome)) for outcome in ("ok", "timeout", "refused")
        }
        self.queue_wait = metrics.histogram("identity_queue_wait_seconds", "Time from arrival to a worker.").observe
        self.duration = metrics.histogram(
            "identity_request_duration_seconds", "Time from arrival to completion, useful or not."
        ).observe
        requests = metrics.counter(
            "identity_requests_total", "Requests answered, by operation and status.", ("operation", "code")
        )
        self._requests = requests
        self._children: dict[tuple[str, int], Callable[[], None]] = {}

    def configuration_read(self, outcome: str) -> None:
        self._configuration_reads[outcome]()

    def answered(self, operation: str, status: int) -> None:
        child = self._children.get((operation, status))
        if child is None:
            child = self._children[operation, status] = incrementer(self._requests.labels(operation, str(status)))
        child()
