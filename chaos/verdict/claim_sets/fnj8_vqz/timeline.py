"""The timeline (T01–T18): actions happened and had their effect, and effects came in the order of the report.

Times of effects are compared with each other and with actions, not with the times in the report: how long a queue takes
to fill is a property of the testbed; that it fills after the restore and before the alert is a property of the
incident.
"""

from chaos.record.metric_names import ACCOUNTS, TRIES
from chaos.verdict.claim_sets.fnj8_vqz import release, trigger
from chaos.verdict.claim_sets.fnj8_vqz.recovery import recovered
from chaos.verdict.claim_sets.fnj8_vqz.table import as_mechanism, check
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, WEST, IncidentView
from chaos.verdict.model import ClaimFinding, Conditions
from chaos.verdict.times import NEVER

MI_ALERT = "ManagedIdentityAvailabilityBurn"


@check("T01", "the workflow starts, then an exempt account becomes private, then a provisioning is blocked")
def impact_begins(view: IncidentView) -> ClaimFinding:
    started = view.record.first_event("remediation_started")
    off, blocked = min(view.first_off.values(), default=NEVER), view.first_growth(TRIES, result="blocked")
    began = float(started["t"]) if started else NEVER
    return Conditions().in_turn("start_switch_blocked", began, off, blocked).finding()


@check(
    "T02", "the first alert on provisioning fires after the start of the impact, in fewer regions than are hit in total"
)
def first_detection(view: IncidentView) -> ClaimFinding:
    first, seen = trigger.detected_regions(view)
    blocked = view.first_growth(TRIES, result="blocked")
    affected = len(view.affected)
    return (
        Conditions()
        .order("impact_alert", blocked, first)
        .below("detected_share", len(seen) / affected if affected and seen else None, 1.0)
        .show("regions", seen)
        .finding()
    )


@check("T03", "the alert that correlates regions fires after the first one (threshold ours)")
def correlation(view: IncidentView) -> ClaimFinding:
    first, correlated, _ = trigger.detection_times(view)
    return Conditions().order("first_correlated", first, correlated).finding()


@check("T04", "the alert on failure rates above the limit fires after the correlation (threshold ours)")
def limit_exceeded(view: IncidentView) -> ClaimFinding:
    _, correlated, limit = trigger.detection_times(view)
    return Conditions().order("correlated_limit", correlated, limit).finding()


@check(
    "T06",
    "accounts are restored in the canary first, and provisioning works there before any other restore",
    needs=("canary",),
)
def validated(view: IncidentView, _canary: float) -> ClaimFinding:
    return trigger.validated_on_the_canary(view)


@check(
    "T07",
    "the workflow is canceled when operators disable it; it makes no account private afterwards",
    control="no-cancel",
    needs=("stop",),
)
def workflow_disabled(view: IncidentView, stop: float) -> ClaimFinding:
    canceled = view.canceled_t
    after = [event for event in view.flips(False) if canceled is not None and event["t"] > canceled]
    return (
        Conditions((stop, view.at.end))
        .in_turn("disabled_canceled", stop, NEVER if canceled is None else canceled)
        .at_most("switched_off_after", len(after), 0)
        .finding()
    )


@check(
    "T08",
    "after the workflow is disabled, accounts outside the canary are restored, and provisioning works in more regions",
    needs=("rollback",),
)
def broader_mitigation(view: IncidentView, rollback: float) -> ClaimFinding:
    canaries = view.role("canary")
    restored = min((t for region, t in view.first_on.items() if region not in canaries), default=NEVER)
    return (
        Conditions((rollback, view.at.restore_east or view.at.end))
        .in_turn("disabled_rollback_restored", view.canceled_t, rollback, restored)
        .above("regions_gained", release.regions_gained(view), 0)
        .finding()
    )


@check(
    "T09", "the high-volume managed-identity accounts of East are restored then, not before", needs=("restore_east",)
)
def high_volume_restored(view: IncidentView, east: float) -> ClaimFinding:
    times = [e["t"] for e in view.flips(True, region=EAST) if e["account"].startswith(release.HIGH_VOLUME)]
    return Conditions().in_turn("action_restored", east, min(times, default=NEVER)).finding()


@check(
    "T10",
    "attempt success falls below 0.5 first in East, then in West, both after the restore in East",
    needs=("restore_east",),
)
def impact_rises_east_then_west(view: IncidentView, east: float) -> ClaimFinding:
    return (
        Conditions((east, view.at.scale_1 or view.at.end))
        .order("restore_east_west", east, view.collapse_t(EAST, east), view.collapse_t(WEST, east))
        .finding()
    )


@check(
    "T11",
    "an alert on managed identities in East fires after the collapse, before the first scale-out completes",
    needs=("restore_east", "scale_1"),
)
def availability_alert(view: IncidentView, east: float, scaled: float) -> ClaimFinding:
    fired = view.fired_t(MI_ALERT, east, scaled, region=EAST)
    collapse = view.collapse_t(EAST, east)
    return Conditions((east, scaled)).order("collapse_alert_scaled", collapse, fired, scaled).finding()


@check("T15", "an audit after all restores finds no private exempt account", needs=("audit",))
def audited(view: IncidentView, audit_t: float) -> ClaimFinding:
    audit = view.record.first_event("audit", audit_t - 1)
    off = view.record.gauge(ACCOUNTS, audit_t, audit_t + 3, "max", exempt="true", public="false")
    return (
        Conditions()
        .in_turn("restored_audited", view.at.restore_west, audit["t"] if audit else NEVER)
        .at_most("exempt_off_in_audit", audit["private_exempt"] if audit else None, 0)
        .at_most("regions_not_listed", len(audit.get("unreachable", ())) if audit else None, 0)
        .at_most("exempt_off_by_gauge", off, 0)
        .finding()
    )


as_mechanism(
    "T12",
    "M37",
    "after the last restore no exempt account is private; provisioning works outside the pair, the pair is down",
)
as_mechanism("T13", "M28", "the first scale-out completes and is not enough: as M28")
as_mechanism("T14", "M29", "the second, larger scale-out completes and is not enough: as M29")
as_mechanism("T16", "M33", "when traffic is removed the routers of the pair admit less than 1 % of attempts: as M33")
as_mechanism("T17", "M34", "nodes are up again when the ramp starts, and the ramp succeeds: as M34")


@check("T18", "at the end the backlog is gone and the service is normal: as F4", needs=("drain", "ramp"))
def concluded(view: IncidentView, _drain: float, _ramp: float) -> ClaimFinding:
    return recovered(view, Conditions(view.final), view.final).finding()
