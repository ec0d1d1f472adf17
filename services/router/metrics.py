"""The metrics of a router (`docs/metrics.md` lists them with their meaning)."""

from collections.abc import Callable

from services.chassis.metrics import Metrics, incrementer

SERVICE = "identity"
SHED_REASONS = ("drain", "ramp", "admission", "no_node")


class RouterMetrics:
    def __init__(self, metrics: Metrics, home: str, pair: str | None = None) -> None:
        self._home = home
        self._requests = metrics.counter(
            "router_requests_total",
            "Requests routed, by the region they went to and came from.",
            ("service", "region", "home", "code"),
        )
        self._shed = metrics.counter("router_shed_total", "Requests shed, by reason.", ("region", "reason"))
        for region in (home, *([pair] if pair else [])):
            for reason in SHED_REASONS:  # create the series at 0: `increase()` would miss the first refusal
                self._shed.labels(region, reason)
        self._routed_children: dict[tuple[str, int], Callable[[], None]] = {}
        self._shed_children: dict[tuple[str, str], Callable[[], None]] = {}

    def routed(self, region: str, code: int) -> None:
        child = self._routed_children.get((region, code))
        if child is None:
            child = incrementer(self._requests.labels(SERVICE, region, self._home, str(code)))
            self._routed_children[region, code] = child
        child()

    def shed(self, region: str, reason: str) -> None:
        child = self._shed_children.get((region, reason))
        if child is None:
            child = self._shed_children[region, reason] = incrementer(self._shed.labels(region, reason))
        child()
