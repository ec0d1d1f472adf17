"""The incident as its claims see it: times of the report's rows, windows between them, policy and accounts."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chaos.record.record import Event, RunRecord
from chaos.remediation.settings import GateSettings
from chaos.scenarios.moments import DRILL_ROW
from chaos.verdict.times import NEVER, Window
from chaos.verdict.view import Anchors, View, first_time, run_ends
from services.chassis.settings import section
from services.clients.identity.client import IdentityClientSettings

EAST, WEST = "eastus", "westus"
PAIR = (EAST, WEST)
WAVE = "T09"
BASELINE_S = 24.0
SETTLE_S = 12.0
"""Seconds from the restore until both regions have collapsed (5–6 s in the model, doubled)."""


@dataclass(frozen=True)
class IncidentAnchors(Anchors):
    """Times of the rows of the report in τ, from the plan; None if the plan has no such action."""

    canary: float | None
    stop: float | None
    rollback: float | None
    restore_east: float | None
    restore_west: float | None
    scale_1: float | None
    scale_2: float | None
    audit: float | None
    ramp: float | None
    drill: float | None
    drill_restore: float | None
    drill_end: float

    @classmethod
    def of(cls, record: RunRecord) -> "IncidentAnchors":
        def first(row: str, action: str = "") -> float | None:
            times = [
                float(entry["t"])
                for entry in record.plan.get("timeline", ())
                if str(entry["id"]).partition(".")[0] == row and entry.get("action") not in ("note", None)
                if action in ("", entry["action"])
            ]
            return min(times, default=None)

        start, end = run_ends(record)
        return cls(
            start=start,
            end=end,
            trigger=first("T01") or 0.0,
            drain=first("T16"),
            wave=first(WAVE),
            canary=first("T06"),
            stop=first("T07"),
            rollback=first("T08"),
            restore_east=first(WAVE),
            restore_west=first("T12"),
            scale_1=first("T13"),
            scale_2=first("T14"),
            audit=first("T15"),
            ramp=first("T17"),
            drill=first(DRILL_ROW),
            drill_restore=first(DRILL_ROW, "restore_accounts"),
            drill_end=float(record.plan.get("duration_s", record.end)),
        )


class IncidentView(View):
    """A record of the incident, or of a variant of it."""

    at: IncidentAnchors
    pair = PAIR
    sides = {"east": EAST, "west": WEST}

    @staticmethod
    def _anchors(record: RunRecord) -> IncidentAnchors:
        return IncidentAnchors.of(record)

    # Windows; None if the plan lacks an action at one of the ends

    @property
    def storage_outage(self) -> Window | None:
        """From the policy job to the restore in East: window A of the report, which overlaps B by 22 minutes."""
        return None if self.at.restore_east is None else (self.at.trigger, self.at.restore_east)

    @property
    def identity_outage(self) -> Window | None:
        """From the restore in East to the end: window B."""
        return None if self.at.restore_east is None else (self.at.restore_east, self.at.end)

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

    def capacity_as_it_was(self, region: str) -> float | None:
        """Number of concurrent requests that the initial fleet can answer within the client timeout."""
        window = (self.at.start + 5, self.at.trigger)
        rate = self.nominal_rate(*window, region)
        tree = section(self.record.plan.get("settings") or {}, "identity_client", region)
        return None if rate is None else rate * float(tree.get("timeout_s", IdentityClientSettings().timeout_s))

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

    def role(self, role: str) -> list[str]:
        return [region["name"] for region in self.record.plan.get("regions", ()) if region.get("role") == role]

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


def _window(start: float | None, end: float | None, settle_s: float) -> Window | None:
    return None if start is None or end is None or start + settle_s >= end else (start + settle_s, end)


def _first_by_region(events: Iterable[Event]) -> dict[str, float]:
    first: dict[str, float] = {}
    for event in events:
        first.setdefault(event["region"], float(event["t"]))
    return first
