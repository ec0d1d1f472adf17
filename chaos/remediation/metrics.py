"""The metrics of the policy job.

All children are created at the start with 0: Prometheus cannot see the increase of a counter whose first sample already
has the final value.
"""

from collections.abc import Callable, Iterable, Iterator

from chaos.remediation.gate import DECISIONS
from services.chassis.metrics import Metrics

CHANGED, SKIPPED, WRONG = "changed", "skipped_exempt", "wrongly_targeted"
OUTCOMES = (CHANGED, SKIPPED, WRONG)


class JobMetrics:
    """Counts accounts (each considered account has exactly one result) and gate decisions."""

    def __init__(self, metrics: Metrics, regions: Iterable[str], age_s: Callable[[], float | None]) -> None:
        accounts = metrics.counter(
            "remediation_accounts_total",
            "Accounts considered: changed correctly, skipped as exempt, or changed although exempt.",
            ("region", "result"),
        )
        self._accounts = {(r, outcome): accounts.labels(r, outcome) for r in regions for outcome in OUTCOMES}
        self._decisions = metrics.counter(
            "remediation_gate_decisions_total", "Decisions of the health gate.", ("decision", "reason")
        )
        for verdict, reason in DECISIONS:
            self._decisions.labels(verdict, reason)

        def rows() -> Iterator[tuple[tuple[str, ...], float]]:
            age = age_s()
            if age is not None:
                yield (), age

        metrics.computed_gauge(
            "remediation_inventory_age_seconds", "Age of the oldest feed in the latest inventory snapshot.", rows
        )

    def account(self, region: str, outcome: str, count: int = 1) -> None:
        self._accounts[region, outcome].inc(count)

    def decision(self, decision: str, reason: str) -> None:
        self._decisions.labels(decision, reason).inc()
