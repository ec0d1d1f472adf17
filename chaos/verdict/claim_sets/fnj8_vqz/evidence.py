"""Other publications on the incident (O01–O13) but GitHub's report: earlier notices, the preliminary report.

They are judged like the report's own rows, and some contradict the report or the run; each row names its source.
"""

from fnmatch import fnmatchcase

import numpy as np

from chaos.record.metric_names import ACCOUNTS, ATTEMPTS, ENDED, NODE_UP, STARTED, TRIES
from chaos.record.record import Of
from chaos.remediation.settings import InventorySettings
from chaos.verdict.claim_sets.fnj8_vqz import trigger
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, IncidentView
from chaos.verdict.figures import recovered_t
from chaos.verdict.model import ClaimFinding, Conditions, per
from chaos.verdict.times import Window
from chaos.verdict.view import first_time

REJECTED = "identity_rejected_total"


@check("O01", "provisioning is blocked before failures are correlated over regions, where that notice sets the start")
def impact_begins_before_it_is_correlated(view: IncidentView) -> ClaimFinding:
    _, correlated, _ = trigger.detection_times(view)
    return Conditions().order("blocked_correlated", view.first_growth(TRIES, result="blocked"), correlated).finding()


@check(
    "O02",
    "East collapses after its restore and before the last restore, while storage still blocks other regions; it "
    "recovers only after the start of the ramp",
    needs=("restore_east", "restore_west", "ramp"),
)
def two_impacts_overlap(view: IncidentView, east: float, west: float, ramp: float) -> ClaimFinding:
    collapse = view.collapse_t(EAST, east)
    return (
        Conditions((east, view.at.end))
        .order("restore_collapse_last_restore", east, collapse, west)
        .order("ramp_recovered", ramp, recovered_t(view, collapse))
        .finding()
    )


@check(
    "O03",
    "after the restore in East attempts fail first and operations later, so both published start times can be right",
    needs=("restore_east",),
)
def attempts_fail_before_operations(view: IncidentView, east: float) -> ClaimFinding:
    times, lost = view.record.total_curve(ENDED, result="failed", region=EAST)
    base = lost[max(view.record.series.index(east), 0)] if len(times) else 0.0
    known = view.record.series.knows(ENDED)
    operations = first_time(times, (times > east) & (lost > base)) if known else None
    return Conditions().order("restore_attempts_operations", east, view.collapse_t(EAST, east), operations).finding()


@check(
    "O04",
    "with both regions collapsed, provisioning alone makes at least 2 attempts per operation, and more attempts than "
    "the nominal capacity of the nodes in East",
    needs=("storm",),
)
def infrastructure_retries(view: IncidentView, storm: Window) -> ClaimFinding:
    where = {"region": EAST, "service": "provisioner"}
    amplification = view.record.ratio(Of(ATTEMPTS, layer="sdk", **where), Of(STARTED, **where), *storm)
    offered = view.record.rate(ATTEMPTS, *storm, layer="sdk", **where)
    limit = view.nominal_rate(*storm, EAST)
    return (
        Conditions(storm)
        .at_least("amplification_by_provisioning", amplification, 2.0)
        .above("offered_by_provisioning_per_limit", per(offered, limit), 1.0)
        .finding()
    )


@check(
    "O05",
    "the workers of the nodes that the first scale-out adds to East are busy from 3 s on (> 0.9 of the time they are "
    "up), and nodes reject requests because their queues are full",
    needs=("scale_1", "after_scale_1"),
)
def new_capacity_is_overwhelmed(view: IncidentView, added: float, window: Window) -> ClaimFinding:
    return (
        Conditions(window)
        .above("busy_of_added_nodes", _busy_of_added(view, added, window), 0.9)
        .above("refused", view.record.delta(REJECTED, *window, region=EAST), 0)
        .finding()
    )


def _busy_of_added(view: IncidentView, added: float, window: tuple[float, float]) -> float | None:
    """Busy share of the workers of nodes added by the scale-out, while the nodes are up."""
    series, times = view.record.series, view.record.series.times
    inside = (times > window[0]) & (times <= window[1])
    busy = total = 0.0
    up, workers, at_work = (
        {one.get("instance", ""): values[:, column] for column, one in enumerate(labels)}
        for labels, values in (
            series.matrix(name, {"region": EAST}) for name in (NODE_UP, "identity_workers", "identity_workers_busy")
        )
    )
    for instance, state in up.items():
        if np.isfinite(state[times < added]).any() or instance not in workers or instance not in at_work:
            continue
        serving = inside & (state > 0)
        total += float(np.nansum(workers[instance][serving]))
        busy += float(np.nansum(at_work[instance][serving]))
    return busy / total if total else None


@check(
    "O11",
    "every exempt account that the job makes private belongs to a family whose telemetry was lost, and exempt accounts "
    "of other families stay public",
)
def lost_telemetry_is_taken_for_fact(view: IncidentView) -> ClaimFinding:
    raw = (view.record.plan.get("settings") or {}).get("remediation", {}).get("inventory", {})
    feeds = InventorySettings.model_validate(raw).lost_feeds
    off = {event["account"] for event in view.flips(False, exempt=True)}
    lost = [account for account in off if any(fnmatchcase(account, feed) for feed in feeds)]
    exempt = view.record.gauge(ACCOUNTS, view.at.start, view.at.start + 2, "max", exempt="true")
    return (
        Conditions()
        .at_least("share_of_lost_feeds", len(lost) / len(off) if off else 0.0, 1.0)
        .above("exempt_never_touched", None if exempt is None else exempt - len(off), 0)
        .finding()
    )
