"""One metrics registry per instance, readable in two ways that must agree.

Prometheus scrapes the text page; a run in one process reads `samples()`, because rendering thirty pages a second
would cost half of a virtual run. prometheus-client's global registry is not used: many instances share a process.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, NamedTuple, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Wide enough that a high percentile never falls into the last bucket, where it would be drawn as a flat line."""
OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
LABEL_SETS_MAX = 4000
"""Label sets per metric. The load generator, with all tenants and regions, needs 2304."""
OTHER = "other"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]
GaugeRows = Callable[[], Iterable[tuple[tuple[str, ...], float]]]


_NUMBER = attrgetter("_value")


class _ComputedGauge(Collector):
    """A gauge whose rows are computed when read, so that hot paths do not have to update it."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], rows: GaugeRows) -> None:
        self.name, self.documentation, self.labels, self.rows = name, documentation, tuple(labels), rows

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for values, value in self.rows():
            family.add_metric(values, value)
        yield family


class _BoundedLabels:
    """Mixin for prometheus-client's classes: label sets beyond `LABEL_SETS_MAX` share one with the values `other`.

    Some label values, such as tenant names, come from callers. Without a bound each would cost memory forever, here
    and in the scraper.
    """

    refused: Callable[[], None]

    def labels(self, *values: Any, **named: Any) -> Any:
        metric: Any = super()
        if len(self._metrics) < LABEL_SETS_MAX:  # type: ignore[attr-defined]
            return metric.labels(*values, **named)
        names = self._labelnames  # type: ignore[attr-defined]
        given = tuple(str(value) for value in values) or tuple(str(named[name]) for name in names)
        if given not in self._metrics:  # type: ignore[attr-defined]
            self.refused()
            given = (OTHER,) * len(names)
        return metric.labels(*given)


class _Counter(_BoundedLabels, Counter):
    pass


class _Gauge(_BoundedLabels, Gauge):
    pass


class _Histogram(_BoundedLabels, Histogram):
    pass


class Declared(NamedTuple):
    """One metric: name as Prometheus sees it, kind (`counter`, `gauge`, `histogram`), label names, meaning."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Metrics:
    """The metrics of one instance. Names follow `docs/metrics.md`; units last, counters end in `_total`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._library: list[Counter | Gauge | Histogram] = []
        self._computed: list[_ComputedGauge] = []
        self._refusals: Counter | None = None

    def _refused(self) -> None:
        """Counts a refused label set. The metric is created on first use, because most instances never need it."""
        if self._refusals is None:
            self._refusals = self.counter(
                "metrics_label_sets_refused_total", "Uses of label sets that were counted as `other`: too many."
            )
        self._refusals.inc()

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        metric = _Counter(name, documentation, labels, registry=self.registry)
        metric.refused = self._refused
        self._library.append(metric)
        return metric

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        metric = _Gauge(name, documentation, labels, registry=self.registry)
        metric.refused = self._refused
        self._library.append(metric)
        return metric

    def histogram(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = DURATION_BUCKETS_S,
    ) -> Histogram:
        metric = _Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)
        metric.refused = self._refused
        self._library.append(metric)
        return metric

    def computed_gauge(self, name: str, documentation: str, rows: GaugeRows, labels: Sequence[str] = ()) -> None:
        """Declares a gauge; `rows()` returns `(label values, value)` pairs at each read."""
        gauge = _ComputedGauge(name, documentation, labels, rows)
        self._computed.append(gauge)
        self.registry.register(gauge)

    def declared(self) -> Iterator[Declared]:
        """All declared metrics, with or without samples."""
        for metric in self._library:
            suffix = "_total" if isinstance(metric, Counter) else ""
            labels = tuple(metric._labelnames)
            yield Declared(metric._name + suffix, metric._type, labels, metric._documentation)
        for gauge in self._computed:
            yield Declared(gauge.name, "gauge", gauge.labels, gauge.documentation)

    def page(self) -> bytes:
        """The text page that Prometheus scrapes."""
        return generate_latest(self.registry)

    def openmetrics_page(self) -> bytes:
        """The same in the OpenMetrics format, which has exemplars."""
        return bytes(generate_openmetrics(self.registry))  # type: ignore[no-untyped-call]

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of a metric's series that have these labels."""
        wanted = labels.items()
        return sum(number for found, pairs, number in self.samples() if found == name and wanted <= dict(pairs).items())

    def samples(self) -> Iterator[Sample]:
        """`(name, ((label, value), …), number)` for counters, gauges and histograms' count, sum and buckets."""
        reader = RegistryReader(self)
        numbers = reader.numbers()
        yield from ((name, labels, number) for (name, labels), number in zip(reader.keys, numbers, strict=True))
        for name, labels, values, number in reader.computed():
            yield name, tuple(zip(labels, values, strict=True)), number


class RegistryReader:
    """Reads one registry repeatedly: the keys once, then only the numbers.

    Keeps references to prometheus-client's value cells (`_value`, `_metrics`): twenty times cheaper than
    `registry.collect()`. `tests/contract/test_recorder.py` compares it with the page. Histograms for whose name
    `wants_buckets` returns False give count and sum only; metrics for whose name `wants` returns False are left out.
    """

    def __init__(
        self,
        metrics: Metrics,
        wants_buckets: Callable[[str], bool] = lambda _name: True,
        wants: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self.keys: list[tuple[str, Labels]] = []
        self._metrics = metrics
        self._wants_buckets = wants_buckets
        self._wants = wants
        self._size = self._metrics_seen = -1
        self._children: list[dict[Any, Any]] = []
        self._scalars: list[Any] = []
        self._histograms: list[tuple[Any, list[Any], bool]] = []
        self.refresh()

    def refresh(self) -> bool:
        """Looks for new label sets. Returns True if there are any; `keys` is then longer and in a new order."""
        library = self._metrics._library
        if len(library) == self._metrics_seen and sum(map(len, self._children)) == self._size:
            return False
        self._metrics_seen = len(library)
        self._children = [metric._metrics for metric in library if metric._labelnames]
        self._size = sum(map(len, self._children))
        self._scalars, self._histograms = [], []
        scalar_keys: list[tuple[str, Labels]] = []
        histogram_keys: list[tuple[str, Labels]] = []
        for metric in library:
            name = metric._name + ("_total" if isinstance(metric, Counter) else "")
            for values, child in _children(metric) if self._wants(name) else ():
                labels = tuple(zip(metric._labelnames, values, strict=True))
                if isinstance(metric, Histogram):
                    histogram_keys += self._histogram(name, labels, child)
                else:
                    scalar_keys.append((name, labels))
                    self._scalars.append(child._value)
        self.keys = scalar_keys + histogram_keys
        return True

    def _histogram(self, name: str, labels: Labels, child: Any) -> list[tuple[str, Labels]]:
        wanted = self._wants_buckets(name)
        self._histograms.append((child._sum, child._buckets, wanted))
        bounds = child._upper_bounds if wanted else ()
        buckets = [(f"{name}_bucket", (*labels, ("le", _text(bound)))) for bound in bounds]
        return [(f"{name}_sum", labels), *buckets, (f"{name}_count", labels)]

    def numbers(self) -> list[float]:
        """The current values, in the order of `keys`.

        The cells are read without their lock: only this thread writes them, and a run reads them millions of times.
        """
        numbers = list(map(_NUMBER, self._scalars))
        for total, buckets, wanted in self._histograms:
            totals = list(accumulate(map(_NUMBER, buckets)))
            numbers.append(total._value)
            if wanted:
                numbers += totals
            numbers.append(totals[-1])
        return numbers

    def computed(self) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], float]]:
        """`(name, label names, label values, number)` of the computed gauges."""
        for gauge in self._metrics._computed:
            for values, number in gauge.rows() if self._wants(gauge.name) else ():
                yield gauge.name, gauge.labels, values, number


def incrementer(child: Counter) -> Callable[[], None]:
    """`child.inc` without its lock and checks, for counters on the request path.

    Safe because a registry belongs to one instance and an instance to one thread.
    """
    cell = cast(Any, child)._value

    def increment() -> None:
        cell._value += 1.0

    return increment


def _children(metric: Any) -> Iterable[tuple[tuple[str, ...], Any]]:
    return metric._metrics.items() if metric._labelnames else (((), metric),)


def _text(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]
