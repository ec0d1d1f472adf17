"""The quantities used by predicates: times of actions and derived measurements, each defined once.

Where the time matters, success at the identity service is measured by attempts: an operation needs about 19 s for its
twelve attempts, so operations show a collapse that much later.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chaos.record.metric_names import ATTEMPTS, ENDED, JOBS, NODE_UP, STARTED, TRIES, WORK
from chaos.record.record import Event, Of, RunRecord, trailing
from chaos.record.series import Array
from chaos.remediation.settings import GateSettings
from chaos.scenarios.drill import ROW
from chaos.verdict.times import NEVER, Window
from services.chassis.settings import section
from services.clients.identity.client import IdentityClientSettings
from services.identity.settings import IdentitySettings

EAST, WEST = "eastus", "westus"
PAIR = (EAST, WEST)
WAITING = ("queued", "blocked")
COLLAPSE_WINDOW_S = 3.0
COLLAPSE_SUCCESS = 0.5
SAMPLES_MIN = 3
BACKLOG_GONE = 20.0
"""At size 1."""
BASELINE_S = 24.0
SETTLE_S = 12.0
"""Seconds from the restore until both regions have collapsed (5–6 s in the model, doubled)."""

RegionFilter = str | Collection[str]


@dataclass(frozen=True)
class Anchors:
    """Times of operator actions in τ, from the plan; None if the plan has no such action.

    `end` is the end of the incident; a drill may follow it.
    """

    start: float
    end: float
    trigger: float
    canary: float | None
    stop: float | None
    rollback: float | None
    restore_east: float | None
    restore_west: float | None
    scale_1: float | None
    scale_2: float | None
    audit: float | None
    drain: float | None
    ramp: float | None
    drill: float | None
    drill_restore: float | None
    drill_end: float

    @classmethod
    def of(cls, record: RunRecord) -> "Anchors":
        def first(row: str, action: str = "") -> float | None:
            times = [
                float(entry["t"])
                for entry in record.plan.get("timeline", ())
                if str(entry["id"]).partition(".")[0] == row and entry.get("action") not in ("note", None)
                if action in ("", entry["action"])
            ]
            return min(times, default=None)

        drill, duration_s = first(ROW), float(record.plan.get("duration_s", record.end))
        return cls(
            start=-float(record.plan.get("warmup_s", -record.start)),
            end=duration_s if drill is None else min(drill, duration_s),
            trigger=first("T01") or 0.0,
            canary=first("T06"),
            stop=first("T07"),
            rollback=first("T08"),
            restore_east=first("T09"),
            restore_west=first("T12"),
            scale_1=first("T13"),
            scale_2=first("T14"),
            audit=first("T15"),
            drain=first("T16"),
            ramp=first("T17"),
            drill=drill,
            drill_restore=first(ROW, "restore_accounts"),
            drill_end=duration_s,
        )


class View:
    """A record with its anchors and derived quantities, up to the end of the incident; `drilled` includes the drill."""

    def __init__(self, record: RunRecord, *, drilled: bool = False) -> None:
        self.at = Anchors.of(record)
        self._whole = record
        self.record = record if drilled or record.end <= self.at.end else record.until(self.at.end)

    @cached_property
    def drilled(self) -> "View":
        """The same run including its drill."""
        return View(self._whole, drilled=True)

    # Windows; None if the plan lacks an action at one of the ends

    @property
    def before(self) -> Window | None:
        """The last seconds before the restore in East: base load, with a healthy identity service."""
        east = self.at.restore_east
        return None if east is None else (max(self.at.start, east - BASELINE_S), east)

    @property
    def storm(self) -> Window | None:
        """From the collapse of both regions to the first scale-out."""
        return _window(self.at.restore_east, self.at.scale_1, SETTLE_S)

    @property
    def after_scale_1(self) -> Window | None:
        return _window(self.at.scale_1, self.at.scale_2, 3.0)

    @property
    def after_scale_2(self) -> Window | None:
        return _window(self.at.scale_2, self.at.drain, 5.0)

    @property
    def overload(self) -> Window | None:
        """From the collapse of both regions to the drain, or to the end without a drain."""
        return _window(self.at.restore_east, self.at.end if self.at.drain is None else self.at.drain, SETTLE_S)

    @property
    def final(self) -> Window:
        """The end of the run: 28 s, or a quarter of the time after the ramp in short scenarios."""
        length = 28.0 if self.at.ramp is None else min(28.0, (self.at.end - self.at.ramp) / 4)
        return self.at.end - length, self.at.end

    # Identity service, as its callers see it

    def attempt_success(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        return self.record.ratio(*_attempts(regions), start, end)

    def op_success(self, start: float, end: float, regions: RegionFilter = PAIR, **where: Any) -> float | None:
        ok = Of(ENDED, result="success", region=_set(regions), **where)
        return self.record.ratio(ok, Of(ENDED, region=_set(regions), **where), start, end)

    def amplification(self, start: float, end: float) -> float | None:
        """Attempts per operation started, over all callers and regions."""
        return self.record.ratio(Of(ATTEMPTS, layer="sdk"), Of(STARTED), start, end)

    def amplification_curve(self, window_s: float = 10.0) -> tuple[Array, Array]:
        return self.record.ratio_curve(Of(ATTEMPTS, layer="sdk"), Of(STARTED), window_s)

    def attempt_rate(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        return self.record.rate(ATTEMPTS, start, end, layer="sdk", region=_set(regions))

    def started_rate(self, start: float, end: float, regions: RegionFilter = PAIR, **where: Any) -> float | None:
        return self.record.rate(STARTED, start, end, region=_set(regions), **where)

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

    def busy(self, region: str, start: float, end: float) -> float | None:
        """Mean ratio of busy workers to all workers of the nodes that are up."""
        return self.record.reduce(self.busy_curve(region), start, end)

    def busy_curve(self, region: str) -> tuple[Array, Array]:
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

    def _by_instance(self, name: str, region: str) -> dict[str, Array]:
        labels, values = self.record.series.matrix(name, {"region": region})
        return {one["instance"]: values[:, column] for column, one in enumerate(labels)}

    def nodes(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        """Mean number of nodes that exist over a window, up or not."""
        _, values = self.record.series.matrix(NODE_UP, {"region": _set(regions)})
        if not values.shape[1]:
            return None
        counts = np.isfinite(values).sum(axis=1).astype(float)
        return self.record.reduce((self.record.series.times, counts), start, end)

    def nodes_up(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        return self.record.gauge(NODE_UP, start, end, region=_set(regions))

    def work_per_busy_worker(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        """Work items finished per second of worker time: the inverse of the actual service time."""
        pair = {"region": _set(regions)}
        return self.record.ratio(Of(WORK, **pair), Of("identity_work_seconds_total", **pair), start, end)

    def wasted(self, start: float, end: float, regions: RegionFilter = PAIR) -> float | None:
        wasted = Of(WORK, outcome="wasted", region=_set(regions))
        return self.record.ratio(wasted, Of(WORK, region=_set(regions)), start, end)

    def nominal_rate(self, start: float, end: float, region: str) -> float | None:
        """Nominal capacity in requests per second of the nodes that exist: workers over nominal service time."""
        workers = self.record.gauge("identity_workers", start, end, region=region)
        return None if workers is None else workers / self.service_s(region)

    def service_s(self, region: str) -> float:
        """The nominal mean service time of a node of the region, in seconds, from the plan."""
        tree = section(self.record.plan.get("settings") or {}, "identity", region)
        return float(tree.get("service_time_s", IdentitySettings().service_time_s))

    def capacity_as_it_was(self, region: str) -> float | None:
        """Number of concurrent requests that the initial fleet can answer within the client timeout."""
        window = (self.at.start + 5, self.at.trigger)
        rate = self.nominal_rate(*window, region)
        tree = section(self.record.plan.get("settings") or {}, "identity_client", region)
        return None if rate is None else rate * float(tree.get("timeout_s", IdentityClientSettings().timeout_s))

    # Provisioning

    @property
    def backlog_gone(self) -> float:
        """Number of waiting jobs below which there is no backlog. A record without a size is of size 1."""
        return BACKLOG_GONE * float(self.record.plan.get("size", 1.0))

    def backlog_curve(self, regions: RegionFilter | None = None) -> tuple[Array, Array]:
        where: dict[str, Any] = {} if regions is None else {"region": _set(regions)}
        return self.record.curve(JOBS, state=WAITING, **where)

    def backlog(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        return self.record.reduce(self.backlog_curve(regions), start, end)

    def tries_success(self, start: float, end: float, regions: RegionFilter | None = None) -> float | None:
        where: dict[str, Any] = {} if regions is None else {"region": _set(regions)}
        return self.record.ratio(Of(TRIES, result="done", **where), Of(TRIES, **where), start, end)

    # Accounts and policy

    def flips(self, public: bool, **match: Any) -> list[Event]:
        return self.record.events_of("account_changed", public=public, **match)

    @cached_property
    def affected(self) -> list[str]:
        """Regions in which exempt accounts became private, in order of time."""
        return list(dict.fromkeys(event["region"] for event in self.flips(False, exempt=True)))

    @cached_property
    def first_off(self) -> dict[str, float]:
        """When the first exempt account of each region became private."""
        return _first_by_region(self.flips(False, exempt=True))

    @cached_property
    def first_on(self) -> dict[str, float]:
        """When the first exempt account of each region became public again."""
        return _first_by_region(self.flips(True, exempt=True))

    @cached_property
    def last_on(self) -> dict[str, float]:
        return {event["region"]: event["t"] for event in self.flips(True, exempt=True)}

    @property
    def canceled_t(self) -> float | None:
        event = self.record.first_event("remediation_canceled")
        return None if event is None else float(event["t"])

    @cached_property
    def journeys(self) -> dict[str, list[tuple[float, Event]]]:
        """Finished journeys by tenant, each with its intended start time."""
        found: dict[str, list[tuple[float, Event]]] = {}
        for event in self.record.events_of("operation"):
            found.setdefault(event["tenant"], []).append((event["t"] - event["duration_s"], event))
        return found

    def gate(self) -> GateSettings:
        raw = (self.record.plan.get("settings") or {}).get("remediation", {}).get("gate", {})
        return GateSettings.model_validate(raw)

    @cached_property
    def regions(self) -> list[str]:
        return [region["name"] for region in self.record.plan.get("regions", ())]

    def role(self, role: str) -> list[str]:
        return [region["name"] for region in self.record.plan.get("regions", ()) if region.get("role") == role]

    @cached_property
    def others(self) -> list[str]:
        """Regions outside the pair with requests to the identity service."""
        return [r for r in self.record.label_values(ATTEMPTS, "region") if r and r not in PAIR]

    def first_growth(self, name: str, **where: Any) -> float | None:
        """When a counter first increased after the trigger; `NEVER` if it did not, None if it was not recorded."""
        if not self.record.series.knows(name):
            return None
        times, total = self.record.total_curve(name, **where)
        base = total[max(self.record.series.index(self.at.trigger), 0)]
        return first_time(times, (times > self.at.trigger) & (total > base))

    def fired_t(self, name: str, start: float | None, end: float = NEVER, **match: Any) -> float | None:
        """When an alert first fired in a window; `NEVER` if it did not, None if the window was not recorded."""
        if start is None or not self.record.covers(start, min(end, self.record.end)):
            return None
        event = self.record.first_event("alert", start, end, name=name, state="firing", **match)
        return NEVER if event is None else float(event["t"])


def first_time(times: Array, holds: Any) -> float:
    """The first time at which `holds` is true; `NEVER` if there is none."""
    found = np.flatnonzero(holds)
    return float(times[found[0]]) if len(found) else NEVER


def _window(start: float | None, end: float | None, settle_s: float) -> Window | None:
    return None if start is None or end is None or start + settle_s >= end else (start + settle_s, end)


def _set(regions: RegionFilter) -> RegionFilter:
    return regions if isinstance(regions, str) else tuple(regions)


def _attempts(regions: RegionFilter) -> tuple[Of, Of]:
    where: Mapping[str, Any] = {"layer": "sdk", "region": _set(regions)}
    return Of(ATTEMPTS, outcome="ok", **where), Of(ATTEMPTS, **where)


def _first_by_region(events: Iterable[Event]) -> dict[str, float]:
    first: dict[str, float] = {}
    for event in events:
        first.setdefault(event["region"], float(event["t"]))
    return first


def slope_ratio(times: Array, values: Array, start: float, end: float) -> float | None:
    """Mean of the last third of a window divided by the mean of its first third; None without samples."""
    inside = (times >= start) & (times <= end) & np.isfinite(values)
    window = values[inside]
    third = len(window) // 3
    if third < 1 or window[:third].mean() == 0:
        return None
    return float(window[-third:].mean() / window[:third].mean())


__all__ = ["EAST", "PAIR", "WEST", "Anchors", "View", "first_time", "slope_ratio", "trailing"]
