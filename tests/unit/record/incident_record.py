"""A made-up record of the incident to prove predicates on: the curve of docs/model.md §3, on the scenario's own plan.

Nothing here was measured. Tests doctor it (`rate`, `level`, `without`, `events`) until a predicate must object.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaos.experiment.plan import make_plan
from chaos.record.record import RunRecord
from chaos.record.series import Array, SeriesTable, matches
from chaos.scenarios.loader import load
from loadgen.tenants import default_table

NAMES = ("centraluseuap", "eastus", "westus", "northeurope", "southeastasia", "australiaeast")
OTHERS = tuple(name for name in NAMES if name not in ("eastus", "westus"))
EXEMPT = ("vmextmi", "vmextlinux", "vmextarc", "vmextwin")
LOST = EXEMPT[:3]
PUBLIC = ("mslogs", "msdiag")
E, W, S1, S2, D, R = 364.0, 387.0, 407.0, 477.0, 592.0, 622.0
END = 760.0

# from; a second, in East (West has half): operations begun, attempts, good attempts, operations won, lost
CURVE = (
    (-30, 12.0, 12.0, 12.0, 12.0, 0.0),
    (E, 50.0, 55.0, 38.0, 30.0, 0.0),
    (E + 2, 34.0, 92.0, 1.5, 1.0, 0.0),
    (E + 6, 13.0, 140.0, 0.0, 0.0, 0.0),
    (E + 12, 22.0, 260.0, 0.0, 0.0, 14.0),
    (S1, 21.0, 245.0, 0.7, 0.7, 20.0),
    (S2, 20.0, 230.0, 1.0, 1.2, 19.0),
    (D, 22.0, 270.0, 0.0, 0.0, 22.0),
    (R, 30.0, 220.0, 17.0, 17.0, 10.0),
    (R + 20, 40.0, 180.0, 34.0, 37.0, 3.0),
    (R + 40, 22.0, 40.0, 30.0, 30.0, 0.2),
    (R + 60, 16.5, 16.5, 16.5, 16.5, 0.0),
)
DRILL, AGAIN = 760.0, 860.0  # the drill that follows: extension accounts of East are off between the two
DRILL_BLOCKED = 70.0
WEST_LATER_S = 3.5
WEST_SHARE = 0.5

Row = tuple[str, dict[str, str]]
Change = Callable[[Array], Array]


class IncidentRecord:
    """The record before it is built: rates (of counters) and levels (of gauges) at each second, and events."""

    def __init__(self, scenario: str = "azure-fnj8-vqz") -> None:
        self.plan: dict[str, Any] = make_plan(load(scenario), 1).document("virtual", "http", "made-up")
        self.times = np.arange(-30.0, float(self.plan["duration_s"]) + 1)
        self.rates: list[tuple[Row, Array]] = []
        self.levels: list[tuple[Row, Array]] = []
        self.events: list[dict[str, Any]] = []

    def copy(self) -> "IncidentRecord":
        other = object.__new__(IncidentRecord)
        other.plan, other.times = self.plan, self.times
        other.rates = [(row, values.copy()) for row, values in self.rates]
        other.levels = [(row, values.copy()) for row, values in self.levels]
        other.events = [dict(event) for event in self.events]
        return other

    # Making

    def steps(self, *points: tuple[float, float]) -> Array:
        """A staircase: each value holds from its time on; NaN before the first."""
        values = np.full(len(self.times), np.nan)
        for start, value in points:
            values[self.times >= start] = value
        return values

    def count(self, name: str, rate: Array | float, **labels: str) -> None:
        self.rates.append(((name, _target(labels)), np.broadcast_to(np.asarray(rate, float), self.times.shape).copy()))

    def gauge(self, name: str, values: Array | float, **labels: str) -> None:
        values = np.broadcast_to(np.asarray(values, float), self.times.shape).copy()
        self.levels.append(((name, _target(labels)), values))

    def event(self, t: float, kind: str, **fields: Any) -> None:
        self.events.append({"t": float(t), "source": "controller", "kind": kind, **fields})

    # Doctoring

    def rate(self, name: str, rate: float, start: float, end: float, **where: Any) -> "IncidentRecord":
        """Sets a counter's rate over a window in every matching series."""
        return self._set(self.rates, name, rate, start, end, where)

    def level(self, name: str, value: float, start: float, end: float, **where: Any) -> "IncidentRecord":
        """Sets a gauge over a window in every matching series."""
        return self._set(self.levels, name, value, start, end, where)

    def _set(
        self, rows: list[tuple[Row, Array]], name: str, value: float, start: float, end: float, where: dict[str, Any]
    ) -> "IncidentRecord":
        hit = 0
        for (found, labels), values in rows:
            if found == name and matches(labels, where):
                values[(self.times > start) & (self.times <= end)] = value
                hit += 1
        assert hit, f"nothing to doctor: {name} {where}"
        return self

    def without(self, name: str) -> "IncidentRecord":
        """As if this metric had never been recorded."""
        self.rates = [row for row in self.rates if row[0][0] != name]
        self.levels = [row for row in self.levels if row[0][0] != name]
        return self

    def without_events(self, kind: str, test: Callable[[dict[str, Any]], bool] = lambda _e: True) -> "IncidentRecord":
        self.events = [event for event in self.events if not (event["kind"] == kind and test(event))]
        return self

    def change_events(self, kind: str, change: Callable[[dict[str, Any]], None]) -> "IncidentRecord":
        for event in self.events:
            if event["kind"] == kind:
                change(event)
        return self

    def without_entries(self, *rows: str) -> "IncidentRecord":
        """As if operators had never planned these timeline rows."""
        kept = [entry for entry in self.plan["timeline"] if entry["id"].partition(".")[0] not in rows]
        self.plan = {**self.plan, "timeline": kept}
        return self

    def cut(self, t: float) -> "IncidentRecord":
        """As if the run had been interrupted then."""
        keep = self.times <= t
        self.rates = [(row, values[keep]) for row, values in self.rates]
        self.levels = [(row, values[keep]) for row, values in self.levels]
        self.times = self.times[keep]
        self.events = [event for event in self.events if event["t"] <= t]
        return self

    def build(self) -> RunRecord:
        step = np.diff(self.times, prepend=self.times[0])
        counters = [np.nancumsum(rate * step) for _, rate in self.rates]
        keys = [row for row, _ in self.rates] + [row for row, _ in self.levels]
        values = np.array(counters + [values for _, values in self.levels]).reshape(len(keys), len(self.times))
        events = sorted(self.events, key=lambda event: event["t"])
        return RunRecord(self.plan, events, SeriesTable.of(self.times, keys, values))


def _target(labels: dict[str, str]) -> dict[str, str]:
    return {"instance": "i", "service": "s", **labels}


def incident() -> IncidentRecord:
    """The incident as the report tells it; every judged claim is reproduced on it."""
    made = IncidentRecord()
    for region in NAMES:
        _identity_calls(made, region)
        _nodes(made, region)
        _provisioning(made, region)
        _storage(made, region)
    _routers(made)
    _policy(made)
    _restores(made)
    _drill(made)
    _operators(made)
    _alerts(made)
    _users(made)
    _orders(made)
    return made


def calm_day() -> IncidentRecord:
    """A calm day: no fault, no operator action, no failure."""
    made = IncidentRecord("calm-day")
    for region in NAMES:
        rate = {"eastus": 12.0, "westus": 6.0}.get(region, 1.0)
        _calls(made, region, "loadgen", *(made.steps((-30, value)) for value in (rate, rate, rate, rate, 0.0)))
    made.event(-0.5, "baseline", ok=True, success_ratio=1.0, operations=500)
    return made


def _calls(
    made: IncidentRecord, region: str, service: str, begun: Array, tried: Array, ok: Array, won: Array, lost: Array
) -> None:
    labels = {"region": region, "service": service, "tenant": "container-apps"}
    made.count("identity_client_operations_started_total", begun, **labels)
    made.count("identity_client_attempts_total", ok, layer="sdk", outcome="ok", **labels)
    made.count("identity_client_attempts_total", np.maximum(tried - ok, 0.0), layer="sdk", outcome="timeout", **labels)
    made.count("identity_client_attempts_total", won, layer="workflow", outcome="ok", **labels)
    made.count("identity_client_operations_total", won, result="success", **labels)
    made.count("identity_client_operations_total", lost, result="failed", **labels)


def _identity_calls(made: IncidentRecord, region: str) -> None:
    """Users make twelve operations a second in East; what is above that comes from provisioning."""
    if region in OTHERS:
        _calls(made, region, "loadgen", *(made.steps((-30, value)) for value in (1.0, 1.0, 1.0, 1.0, 0.0)))
        return
    later, share = (0.0, 1.0) if region == "eastus" else (WEST_LATER_S, WEST_SHARE)
    columns = [made.steps(*((row[0] + later * (row[0] >= E), row[i] * share) for row in CURVE)) for i in range(1, 6)]
    users = [np.minimum(column, 12.0 * share) for column in columns[:1]] + [column * 0.5 for column in columns[1:]]
    base = made.times < E
    for column, whole in zip(users, columns, strict=True):
        column[base] = whole[base]
    jobs = [whole - part for whole, part in zip(columns, users, strict=True)]
    _calls(made, region, "loadgen", *users)
    _calls(made, region, "provisioner", *jobs)


def _nodes(made: IncidentRecord, region: str) -> None:
    pair = region not in OTHERS
    later = 0.0 if region == "eastus" else WEST_LATER_S
    first, second = (2, 3) if region == "eastus" else (1, 2)
    total = 4 + first + second if pair else 2
    for number in range(1, total + 1):
        labels = {"region": region, "instance": f"identity-{region}-{number}", "service": "identity"}
        since = -30.0 if number <= 4 else S1 + 1 if number <= 4 + first else S2 + 1
        exists = made.steps((since, 1.0))
        up, busy = exists.copy(), exists * 0.6
        if pair:
            busy = exists * made.steps((-30, 0.6), (E + 1 + later, 2.0), (D + 15, 0.0), (R, 0.7))
            down = (made.times >= W + 5) & (made.times < D + 12) & (((made.times + 11 * number) % 40) < 10)
            up[down & (exists > 0)] = 0.0
            busy[down & (exists > 0)] = 0.0
        made.gauge("identity_node_up", up, **labels)
        made.gauge("identity_workers", exists * 2.0, **labels)
        made.gauge("identity_workers_busy", busy, **labels)
        made.gauge(
            "identity_queue_length",
            exists * (made.steps((-30, 0), (E + 1 + later, 55.0), (D + 15, 0)) if pair else 0.0),
            **labels,
        )
        useful = np.nan_to_num(busy) * 5.0
        wasted = np.zeros(len(made.times))
        if pair:
            down_phase = (made.times >= E + 2 + later) & (made.times < D + 15)
            wasted = np.where(down_phase, np.nan_to_num(busy) * 1.8, 0.0)
            useful = np.where(down_phase, np.nan_to_num(busy) * 0.1, useful)
        made.count("identity_work_completed_total", useful, outcome="useful", **labels)
        made.count("identity_work_completed_total", wasted, outcome="wasted", **labels)
        made.count("identity_work_seconds_total", np.nan_to_num(busy), **labels)
        made.count(
            "identity_rejected_total", np.where(np.nan_to_num(busy) > 1, 9.0, 0.0), reason="queue_full", **labels
        )
        if pair:
            for t in range(int(W) + 5, int(D), 40):
                made.event(t + number, "node_crashed", region=region, reason="sustained_overload", queue_length=58)
                made.event(t + number + 8, "node_restarted", region=region)


def _provisioning(made: IncidentRecord, region: str) -> None:
    pair = region not in OTHERS
    off, on = _off_t(region), _on_t(region)
    scale = {"eastus": 1.0, "westus": 0.4}.get(region, 0.1)
    labels = {"region": region, "service": "provisioner", "tenant": "kubernetes-service"}
    done, blocked, lost = made.steps((-30, 1.5)), made.steps((-30, 0.0)), made.steps((-30, 0.0))
    outage = (made.times >= off + 2) & (made.times < on + 8)
    done[outage], blocked[outage] = 0.2, 12.0
    waiting = np.interp(
        made.times, [-30, off + 2, on, on + 20, END], [0, 0, 300, 0 if not pair else 280, 0 if not pair else 280]
    )
    running = made.steps((-30, 3.0))
    if pair:
        storm = (made.times >= E + 2) & (made.times < R)
        done[storm], blocked[made.times >= on + 8], lost[storm] = 0.0, 0.0, 8.0
        waiting[made.times >= W] = np.interp(
            made.times[made.times >= W], [W, S1, D, R, R + 60, END], [280, 290, 340, 340, 5, 0]
        )
        running = made.steps((-30, 3.0), (E + 1, 100.0), (R + 60, 3.0))
    if region == "eastus":
        drilled = (made.times >= DRILL + 2) & (made.times < AGAIN + 6)
        waiting[drilled] = np.linspace(2.0, DRILL_BLOCKED, int(drilled.sum()))
    done[(made.times >= on + 8) & (made.times < E)] = 1.5
    for result, rate in (("done", done), ("blocked", blocked), ("identity_failed", lost)):
        made.count("provisioner_job_tries_total", rate * scale, result=result, **labels)
    for t in range(-28, int(END), 4):
        made.event(
            t,
            "job_finished",
            job=f"{region}-{t}",
            operation="vm_create",
            tenant="kubernetes-service",
            region=region,
            result="succeeded",
            code="",
            age_s=3.0,
            tries=1,
        )
    made.gauge("provisioner_jobs", waiting * scale, state="blocked", **labels)
    made.gauge("provisioner_jobs", made.steps((-30, 0.0)), state="queued", **labels)
    made.gauge("provisioner_jobs", running * scale, state="running", **labels)


def _off_t(region: str) -> float:
    order = ("centraluseuap", "australiaeast", "southeastasia", "westus", "northeurope", "eastus")
    return order.index(region) * 14.2 + 0.4


def _restore_entries(made: IncidentRecord) -> Iterable[tuple[str, float, str, str]]:
    """(entry, t, account, region) of every account that the plan restores, once each."""
    seen: set[str] = set()
    for entry in made.plan["timeline"]:
        if entry["action"] != "restore_accounts":
            continue
        parameters, t = entry["parameters"], float(entry["t"])
        for region in parameters["regions"]:
            for family in LOST:
                name = family + region
                if name not in seen and any(glob.rstrip("*") in name for glob in parameters.get("accounts", ("*",))):
                    seen.add(name)
                    yield entry["id"], t, name, region
                    t += parameters.get("spacing_s", 0.0)


def _on_t(region: str) -> float:
    plan = IncidentRecord()
    return max(t for _, t, _, where in _restore_entries(plan) if where == region)


def _storage(made: IncidentRecord, region: str) -> None:
    labels = {"region": region, "service": "blobstore"}
    off, on = _off_t(region), _on_t(region)
    outage = (made.times >= off + 1) & (made.times < on + 1)
    made.count("blobstore_requests_total", np.where(outage, 0.4, 2.0), auth="anonymous", code="200", **labels)
    made.count("blobstore_requests_total", np.where(outage, 9.0, 0.0), auth="anonymous", code="409", **labels)
    lost = np.where(outage, 3.0, 0.0)
    made.gauge("blobstore_accounts", 4.0 - lost, public="true", exempt="true", **labels)
    made.gauge("blobstore_accounts", lost, public="false", exempt="true", **labels)
    made.gauge("blobstore_accounts", made.steps((-30, 2.0), (off + 1, 0.0)), public="true", exempt="false", **labels)
    made.gauge("blobstore_accounts", made.steps((-30, 0.0), (off + 1, 2.0)), public="false", exempt="false", **labels)


def _routers(made: IncidentRecord) -> None:
    for home, other in (("eastus", "westus"), ("westus", "eastus")):
        labels = {"home": home, "service": "router"}
        stay = made.steps((-30, 12.0), (E + 2, 80.0), (D + 1, 0.0), (R, 20.0), (R + 60, 17.0))
        cross = made.steps((-30, 0.0), (E + 2, 60.0), (D + 1, 0.0))
        made.count("router_requests_total", stay, region=home, code="200", **labels)
        made.count("router_requests_total", cross, region=other, code="504", **labels)
        made.count(
            "router_shed_total",
            made.steps((-30, 0.0), (D, 200.0), (R + 40, 0.0)),
            region=home,
            reason="drain",
            **labels,
        )
        limit = np.interp(made.times, [R, R + 80], [4.0, 34.0])
        limit[made.times < R] = np.inf
        limit[(made.times >= D) & (made.times < R)] = 0.0
        limit[made.times >= R + 100] = np.inf
        made.gauge("router_admission_limit", limit, region=home, **labels)


def _policy(made: IncidentRecord) -> None:
    made.event(-0.5, "baseline", ok=True, success_ratio=1.0, operations=500)
    made.count(
        "remediation_accounts_total", made.steps((-30, 0.0), (0.0, 0.05)), result="skipped_exempt", region="eastus"
    )
    for beat, t in enumerate((0.0, 60.0, 120.0, 180.0)):
        run = f"run-{beat}"
        made.event(t, "remediation_started", run=run, period=beat, defect="missing_exemptions")
        made.event(t + 0.1, "remediation_snapshot", run=run, records=18, exemptions_missing=18, age_s=120.0 + t)
        regions = sorted(NAMES, key=_off_t) if beat == 0 else []
        for region in regions:
            start = _off_t(region) - 0.2
            accounts = [f"{family}{region}" for family in (*LOST, *PUBLIC)]
            made.event(start, "remediation_wave_started", run=run, region=region, targets=accounts)
            for account in accounts:
                exempt = account.startswith(LOST)
                made.event(
                    start + 0.2,
                    "account_changed",
                    account=account,
                    region=region,
                    public=False,
                    exempt=exempt,
                    actor=run,
                )
            made.event(
                start + 14.0,
                "gate_decision",
                run=run,
                region=region,
                decision="proceed",
                reason="no_data",
                variant="no_data_is_healthy",
                observed={"failure_ratio": None, "samples": 0},
                watched_s=14.0,
                bake_s=60.0,
            )
    made.event(195.0, "remediation_canceled", run="run-3")


def _restores(made: IncidentRecord) -> None:
    for entry, t, account, region in list(_restore_entries(made)):
        made.event(t + 0.1, "account_changed", account=account, region=region, public=True, exempt=True, actor=entry)


def _drill(made: IncidentRecord) -> None:
    for family in LOST:
        account = {"account": f"{family}eastus", "region": "eastus", "exempt": True}
        made.event(DRILL + 0.1, "account_changed", **account, public=False, actor="DRILL")
        made.event(AGAIN + 0.1, "account_changed", **account, public=True, actor="DRILL.restore")


def _operators(made: IncidentRecord) -> None:
    for entry in made.plan["timeline"]:
        made.event(entry["t"], "action", id=entry["id"], action=entry["action"], parameters=entry["parameters"])
    made.event(492.0, "audit", id="T15", accounts=36, public_exempt=24, private_exempt=0)


def _alerts(made: IncidentRecord) -> None:
    rows = (
        (24.0, "ControlPlaneFailures", "centraluseuap"),
        (39.0, "ControlPlaneFailures", "australiaeast"),
        (103.0, "MultiRegionControlPlaneFailures", ""),
        (112.0, "FailureRateThreshold", ""),
        (371.0, "ManagedIdentityAvailabilityBurn", "eastus"),
        (375.0, "ManagedIdentityAvailabilityBurn", "westus"),
    )
    for t, name, region in rows:
        made.event(t, "alert", name=name, state="firing", region=region, value=0.9, severity="page")
    made.event(690.0, "alert", name="ManagedIdentityAvailabilityBurn", state="resolved", region="eastus", value=0.9)


def _users(made: IncidentRecord) -> None:
    for tenant in default_table().tenants:
        hit = tenant.slug != "windows-virtual-machines"
        jobs = tenant.load == "jobs"
        start, end = (20.0, 390.0) if jobs else (E + 5, R + 40)
        for region in ("eastus", "westus", "northeurope"):
            labels = {"region": region, "tenant": tenant.slug, "service": "loadgen"}
            pair = region != "northeurope"
            bad = (made.times >= start) & (made.times < (end if pair else 240.0)) & (hit and (jobs or pair))
            if region in tenant.not_in:
                continue
            if tenant.slug != "codespaces":
                made.count("loadgen_operations_started_total", 1.0, **labels)
                made.count("loadgen_operations_total", np.where(bad, 0.2, 1.0), result="success", **labels)
                made.count("loadgen_operations_total", np.where(bad, 0.8, 0.0), result="failed", **labels)
            if not jobs:
                made.count("loadgen_cached_token_uses_total", 0.2, **labels)
            _journeys(made, tenant, region, bad)


def _orders(made: IncidentRecord) -> None:
    """Machines of GitHub on order: they come when the accounts that they need are back."""
    for region, arc, high_volume in (("eastus", 315.0, E), ("westus", 310.0, W), ("northeurope", 227.0, 245.0)):
        labels = {"region": region, "service": "loadgen"}
        for runner, on in (("standard", arc), ("larger", high_volume)):
            orders = np.interp(made.times, [-30, 20, on, on + 5], [0, 0, 40, 0])
            made.gauge("loadgen_runners", orders, runner=runner, state="ordered", **labels)
            coming = np.where((made.times < 20) | (made.times > on), 1.0, 0.0)
            made.count("loadgen_runner_orders_total", coming, runner=runner, result="succeeded", **labels)
        if region != "westus":
            orders = np.interp(made.times, [-30, 20, high_volume, high_volume + 5], [0, 0, 20, 0])
            made.count("loadgen_operations_started_total", 1.0, tenant="codespaces", **labels)
            ended = np.asarray(1.0 - np.diff(orders, prepend=0.0), float)
            made.count("loadgen_operations_total", ended, tenant="codespaces", result="success", **labels)


def _journeys(made: IncidentRecord, tenant: Any, region: str, bad: NDArray[np.bool_]) -> None:
    kind = tenant.journey.kind
    operations = {
        "token": ("token", "token_new_identity"),
        "identity_crud": ("identity_create", "identity_update", "identity_delete"),
    }
    codes = {
        "runner_job": "RunnerWaitTimeout",
        "dependent_job": "NoRunnerAvailable",
        "token": "timeout",
        "identity_crud": "timeout",
    }
    for number, t in enumerate(range(-25, int(made.times[-1]), 9)):
        failed = bool(bad[int(t + 30)]) and number % 5 != 0
        slow = bool(bad[int(t + 30)])
        detail = {"runner": ("standard", "larger")[number % 2]} if kind in ("runner_job", "dependent_job") else {}
        made.event(
            t,
            "operation",
            tenant=tenant.slug,
            region=region,
            journey=kind,
            operation=operations.get(kind, (kind,))[number % len(operations.get(kind, (kind,)))],
            result="failed" if failed else "success",
            code=codes.get(kind, "VMExtensionProvisioningTimeout") if failed else "",
            intended_t=float(t - 1),
            duration_s=(60.0 if kind == "runner_job" else 19.0) if failed else (4.0 if slow else 0.3),
            **detail,
        )


@lru_cache(maxsize=1)
def _incident_once() -> IncidentRecord:
    return incident()


def fresh_incident() -> IncidentRecord:
    """The incident, for one test to doctor; made once and copied."""
    return _incident_once().copy()
