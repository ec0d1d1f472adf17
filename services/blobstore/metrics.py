"""The metrics of a blob service (`docs/metrics.md` lists them with their meaning)."""

from collections.abc import Callable, Iterable

from services.chassis.metrics import Metrics, incrementer

ANONYMOUS = "anonymous"
BEARER = "bearer"
ALERTED = (200, 409)
"""Series created at 0: alerts use their increase, which would miss the first event of a new series."""


class BlobstoreMetrics:
    """Counts data-plane requests. Children are bound once: a label lookup costs more than the count."""

    def __init__(self, metrics: Metrics, region: str) -> None:
        self._region = region
        self._requests = metrics.counter(
            "blobstore_requests_total",
            "Data-plane requests answered, by how the caller authenticated and by status.",
            ("region", "auth", "code"),
        )
        self._children: dict[tuple[str, int], Callable[[], None]] = {}
        for status in ALERTED:
            self._child(ANONYMOUS, status)

    def answered(self, auth: str, status: int) -> None:
        child = self._children.get((auth, status))
        if child is None:
            child = self._child(auth, status)
        child()

    def _child(self, auth: str, status: int) -> Callable[[], None]:
        child = incrementer(self._requests.labels(self._region, auth, str(status)))
        self._children[auth, status] = child
        return child


def export_accounts(metrics: Metrics, region: str, accounts: Callable[[], Iterable[tuple[bool, bool]]]) -> None:
    """`blobstore_accounts`: accounts by current public access and by ground truth.

    `accounts()` returns (public now, exempt) for each account. All four combinations are always exported, so that
    alert rules never have missing series.
    """

    def rows() -> list[tuple[tuple[str, ...], float]]:
        counts = {(public, exempt): 0 for public in (True, False) for exempt in (True, False)}
        for pair in accounts():
            counts[pair] += 1
        return [((region, _word(public), _word(exempt)), count) for (public, exempt), count in counts.items()]

    metrics.computed_gauge(
        "blobstore_accounts",
        "Accounts, by whether anonymous reads work now and whether they are intended.",
        rows,
        ("region", "public", "exempt"),
    )


def _word(value: bool) -> str:
    return "true" if value else "false"
