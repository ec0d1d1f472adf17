"""The quantities used by verdicts: times of actions and derived measurements, each defined once.

Where the time matters, success at the identity service is measured by attempts: an operation needs about 19 s for its
twelve attempts, so operations show a collapse that much later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from chaos.record.formulas import SAMPLES_MIN, WAITING
from chaos.record.metric_names import ATTEMPTS, ENDED, JOBS, NODE_UP, STARTED, TRIES, WORK
from chaos.record.record import Of, RunRecord
from chaos.record.series import Array
from chaos.scenarios.moments import Moments
from chaos.verdict.times import NEVER, Window
from services.chassis.settings import section
from services.identity.settings import IdentitySettings

COLLAPSE_WINDOW_S = 3.0
COLLAPSE_SUCCESS = 0.5
BACKLOG_GONE = 20.0
"""At size 1."""

RegionFilter = str | Collection[str]


@dataclass(frozen=True)
class Anchors:
    """Times of the plan in τ. `end` is the end of the incident; a drill may follow it."""

    start: float
    end: float
    trigger: float
    """The first action; 0 without one."""
    drain: float | None
    wave: float | None
    """From when on a collapse is looked for."""

    @classmethod
    def of(cls, record: RunRecord) -> "Anchors":
        start, end = run_ends(record)
        entries = [entry for entry in record.plan.get("timeline", ()) if entry.get("action") not in ("note", None)]
        trigger = min((float(entry["t"]) for entry in entries), default=0.0)
        drains = [float(entry["t"]) for entry in entries if entry["action"] == "drain"]
        return cls(start, end, trigger, min(drains, default=None), wave=trigger)


def run_ends(record: RunRecord) -> Window:
    """Start of the warm-up and end of the incident, from the plan, or from the samples of a record without them."""
    plan = {"warmup_s": -record.start, "duration_s": record.end, **record.plan}
    moments = Moments.of_plan(plan)
    return moments.start, moments.end


class View:
    """A record with its anchors and derived quantities, up to the end of the incident; `drilled` includes the drill."""

    def __init__(self, record: RunRecord, *, drilled: bool = False) -> None:
        self.at: Anchors = self._anchors(record)
        self._whole = record
        self.record = record if drilled or record.end <= self.at.end else record.until(self.at.end)

    @cached_property
    def drilled(self) -> Self:
        """The same run including its drill."""
        return type(self)(self._whole, drilled=True)

    @staticmethod
    def _anchors(record: RunRecord) -> Anchors:
        return Anchors.of(record)

    # Regions

    @cached_property
    def regions(self) -> list[str]:
        return [region["name"] for region in self.record.plan.get("regions", ())]

    @cached_property
    def pair(self) -> tuple[str, ...]:
        """The regions that figures are about: those that fail over to another one, or all if none does."""
        paired = tuple(region["name"] for region in self.record.plan.get("regions", ()) if region.get("pair"))
        return paired or tuple(self.regions)

    @cached_property
    def sides(self) -> dict[str, str]:
        """The regions shown one by one, at most two: names in figures and columns, and regions."""
        return {region: region for region in self.pair[:2]}

    @cached_property
    def others(self) -> list[str]:
        """Regions outside the pair with requests to the identity service."""
        return [r for r in self.record.label_values(ATTEMPTS, "region") if r and r not in self.pair]

    def _meant(self, regions: RegionFilter | None) -> RegionFilter:
        return self.pair if regions is None else regions if isinstance(regions, str) else tuple(regions)

    # Identity service, as its callers see it

    def attempt_success(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        return self.record.ratio(*_attempts(self._meant(regions)), start, end)

    def op_success(self, start: float, end: float, regions: RegionFilter | None = None, **where: Any) -> float | None:
        where["region"] = self._meant(regions)
        return self.record.ratio(Of(ENDED, result="success", **where), Of(ENDED, **where), start, end)

    def amplification(self, start: float, end: float) -> float | None:
        """Attempts per operation started, over all callers and regions."""
        return self.record.ratio(Of(ATTEMPTS, layer="sdk"), Of(STARTED), start, end)

    def amplification_curve(self, window_s: float = 10.0) -> tuple[Array, Array]:
        return self.record.ratio_curve(Of(ATTEMPTS, layer="sdk"), Of(STARTED), window_s)

    def attempt_rate(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        return self.record.rate(ATTEMPTS, start, end, layer="sdk", region=self._meant(regions))

    def started_rate(self, start: float, end: float, regions: RegionFilter | None = None, **where: Any) -> float | None:
        return self.record.rate(STARTED, start, end, region=self._meant(regions), **where)

    def success_curve(self, regions: RegionFilter, window_s: float = 10.0) -> tuple[Array, Array]:
        """Attempt success over the `window_s` before each sample; NaN with fewer than three attempts."""
        part, whole = _attempts(regions)
        times, ok = self.record.rate_curve(part.name, window_s, **part.where)
        _, all_ = self.record.rate_curve(whole.name, window_s, **whole.where)
        enough = all_ * window_s >= SAMPLES_MIN
        return times, np.divide(ok, all_, out=np.full(len(times), np.nan), where=enough)

    def collapse_t(self, region: str, after: float | None) -> float | None:
        """When attempt success first fell below 0.5 after `after`; `NEVER` if it did not, None if not recorded."""
        if after is None or not self.record.covers(after, after) or not self.record.series.knows(ATTEMPTS):
            return None
        times, success = self.success_curve(region, COLLAPSE_WINDOW_S)
        return first_time(times, (times > after) & (success < COLLAPSE_SUCCESS))

    # Identity service, as its nodes see it

    def busy(self, region: RegionFilter, start: float, end: float) -> float | None:
        """Mean ratio of busy workers to all workers of the nodes that are up."""
        return self.record.reduce(self.busy_curve(region), start, end)

    def busy_curve(self, region: RegionFilter) -> tuple[Array, Array]:
        up = self._by_instance(NODE_UP, region)
        busy = self._by_instance("identity_workers_busy", region)
        workers = self._by_instance("identity_workers", region)
        times = self.record.series.times
        busy_sum, workers_sum = np.zeros(len(times)), np.zeros(len(times))
        for instance, count in workers.items():
            counts = np.isfinite(count) & (up.get(instance, np.ones(len(times))) > 0) & (instance in busy)
            workers_sum += np.where(counts, count, 0.0)
            busy_sum += np.where(counts, np.nan_to_num(busy.get(instance, np.zeros(len(times)))), 0.0)
        return times, np.divide(busy_sum, workers_sum, out=np.full(len(times), np.nan), where=workers_sum > 0)

    def _by_instance(self, name: str, region: RegionFilter) -> dict[str, Array]:
        labels, values = self.record.series.matrix(name, {"region": region_filter(region)})
        return {one.get("instance", ""): values[:, column] for column, one in enumerate(labels)}

    def nodes(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        """Mean number of nodes that exist over a window, up or not."""
        _, values = self.record.series.matrix(NODE_UP, {"region": self._meant(regions)})
        if not values.shape[1]:
            return None
        counts = np.isfinite(values).sum(axis=1).astype(float)
        return self.record.reduce((self.record.series.times, counts), start, end)

    def nodes_up(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        return self.record.gauge(NODE_UP, start, end, region=self._meant(regions))

    def work_per_busy_worker(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        """Work items finished per second of worker time: the inverse of the actual service time."""
        pair = {"region": self._meant(regions)}
        return self.record.ratio(Of(WORK, **pair), Of("identity_work_seconds_total", **pair), start, end)

    def wasted(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        where = {"region": self._meant(regions)}
        return self.record.ratio(Of(WORK, outcome="wasted", **where), Of(WORK, **where), start, end)

    def nominal_rate(self, start: float, end: float, region: str) -> float | None:
        """Nominal capacity in requests per second of the nodes that exist: workers over nominal service time."""
        workers = self.record.gauge("identity_workers", start, end, region=region)
        return None if workers is None else workers / self.service_s(region)

    def service_s(self, region: str) -> float:
        """The nominal mean service time of a node of the region, in seconds, from the plan."""
        tree = section(self.record.plan.get("settings") or {}, "identity", region)
        return float(tree.get("service_time_s", IdentitySettings().service_time_s))

    # Provisioning

    @property
    def backlog_gone(self) -> float:
        """Number of waiting jobs below which there is no backlog. A record without a size is of size 1."""
        return BACKLOG_GONE * float(self.record.plan.get("size", 1.0))

    def backlog_curve(self, regions: RegionFilter | None = None) -> tuple[Array, Array]:
        where: dict[str, Any] = {} if regions is None else {"region": region_filter(regions)}
        return self.record.curve(JOBS, state=WAITING, **where)

    def backlog(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        return self.record.reduce(self.backlog_curve(regions), start, end)

    def tries_success(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        where: dict[str, Any] = {} if regions is None else {"region": region_filter(regions)}
        return self.record.ratio(Of(TRIES, result="done", **where), Of(TRIES, **where), start, end)


def first_time(times: Array, holds: Any) -> float:
    """The first time at which `holds` is true; `NEVER` if there is none."""
    found = np.flatnonzero(holds)
    return float(times[found[0]]) if len(found) else NEVER


def region_filter(regions: RegionFilter) -> RegionFilter:
    return regions if isinstance(regions, str) else tuple(regions)


def _attempts(regions: RegionFilter) -> tuple[Of, Of]:
    where: Mapping[str, Any] = {"layer": "sdk", "region": region_filter(regions)}
    return Of(ATTEMPTS, outcome="ok", **where), Of(ATTEMPTS, **where)


def slope_ratio(times: Array, values: Array, start: float, end: float) -> float | None:
    """Mean of the last third of a window divided by the mean of its first third; None without samples."""
    inside = (times >= start) & (times <= end) & np.isfinite(values)
    window = values[inside]
    third = len(window) // 3
    if third < 1 or window[:third].mean() == 0:
        return None
    return float(window[-third:].mean() / window[:third].mean())
