"""Effects of the restore: queues cleared, and blocked work resumed at once (M19–M27, M37–M39)."""

from chaos.record.metric_names import ACCOUNTS, ATTEMPTS, JOBS, ROUTED, STARTED
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, WEST, IncidentView
from chaos.verdict.model import ClaimFinding, Conditions, per
from chaos.verdict.times import Window
from chaos.verdict.view import first_time

REQUEUE_S = 12.0
CLEARED_S = 40.0
SURGE_S = 10.0
DETECTION_S = 10.0
ALERT_ERROR_RATIO = 0.0144
HIGH_VOLUME = "vmextmi"
CACHED = "loadgen_cached_token_uses_total"
OPERATION = "operation"
WRITES = ("identity_create", "identity_update", "identity_delete")
NEW_IDENTITY = "token_new_identity"
TOKEN = "token"


@check(
    "M19",
    "in every restored region outside the pair: after the restore more provisioning attempts succeed than before, and "
    "the backlog is less than half",
    needs=("restore_east",),
)
def queues_clear_where_restored(view: IncidentView, east: float) -> ClaimFinding:
    gains: list[float] = []
    clearings: list[float] = []
    for region in sorted(set(view.last_on) - set(PAIR) - set(view.role("canary"))):
        begun, done = view.first_on[region], _restored_by(view, region, east)
        before = view.tries_success(begun - 20, begun, region)
        after = view.tries_success(done + REQUEUE_S, done + CLEARED_S, region)
        if before is not None and after is not None:
            gains.append(after - before)
        waiting, left = view.backlog(begun - 5, begun, region), view.backlog(done + 20, done + CLEARED_S, region)
        if waiting and left is not None:
            clearings.append(left / waiting)
    return (
        Conditions((min(view.first_on.values(), default=0.0), east))
        .above("least_gain_in_success", min(gains, default=None), 0.3)
        .below("most_backlog_left", max(clearings, default=None), 0.5)
        .finding()
    )


def _restored_by(view: IncidentView, region: str, before: float) -> float:
    times = [event["t"] for event in view.flips(True, region=region, exempt=True) if event["t"] < before]
    return max(times, default=view.first_on[region])


@check(
    "M20",
    "after the restore in East the peak of running jobs there is at least 3 times the baseline mean",
    needs=("restore_east",),
)
def resumed_concurrently(view: IncidentView, east: float) -> ClaimFinding:
    window = (east, east + SURGE_S)
    base = view.record.gauge(JOBS, view.at.start + 10, view.at.trigger, region=EAST, state="running")
    peak = view.record.gauge(JOBS, *window, "max", region=EAST, state="running")
    return (
        Conditions(window).at_least("running_peak_per_base", per(peak, base), 3.0).show("running_peak", peak).finding()
    )


@check(
    "M21",
    "in the 10 s after the restore in East the identity request rate is at least 3 times that before",
    needs=("restore_east", "before"),
)
def requests_surge(view: IncidentView, east: float, before: Window) -> ClaimFinding:
    window = (east, east + SURGE_S)
    base, surge = view.attempt_rate(*before, EAST), view.attempt_rate(*window, EAST)
    return (
        Conditions(window)
        .at_least("surge_per_base", per(surge, base), 3.0)
        .show("attempts_per_s_before", base)
        .show("attempts_per_s_after", surge)
        .finding()
    )


@check(
    "M22",
    "only high-volume managed-identity accounts are restored at that time in East; new identity operations at least "
    "double at once, two thirds of the increase from provisioning; the attempt error ratio exceeds the alert threshold "
    "within 10 s",
    needs=("restore_east", "before"),
)
def high_volume_extensions_trigger(view: IncidentView, east: float, before: Window) -> ClaimFinding:
    accounts = {e["account"] for e in view.flips(True, region=EAST) if east - 1 <= e["t"] <= east + 3}
    window = (east, east + 4.0)
    base, step = view.started_rate(*before, EAST), view.started_rate(*window, EAST)
    jobs_base = view.started_rate(*before, EAST, service="provisioner")
    jobs_step = view.started_rate(*window, EAST, service="provisioner")
    known = None not in (base, step, jobs_base, jobs_step)
    rise = (step or 0.0) - (base or 0.0)
    share = ((jobs_step or 0.0) - (jobs_base or 0.0)) / rise if known and rise > 0 else None
    times, success = view.success_curve(EAST, 5.0)
    failing = first_time(times, (times > east) & (1 - success > ALERT_ERROR_RATIO))
    return (
        Conditions(window)
        .true("only_high_volume_accounts", all(a.startswith(HIGH_VOLUME) for a in accounts) if accounts else None)
        .at_least("operations_per_base", (step or 0.0) / base if known and base else None, 2.0)
        .at_least("rise_from_provisioning", share if rise > 0 or not known else 0.0, 2 / 3)
        .at_most("visible_after_s", failing - east if base is not None else None, DETECTION_S)
        .finding()
    )


@check(
    "M23",
    "in the pair, from the collapse to the drain: token requests fail, and create, update and delete fail; token "
    "requests for new identities mostly fail, while cached tokens are still used",
    needs=("overload",),
)
def all_identity_operations_fail(view: IncidentView, window: Window) -> ClaimFinding:
    shares = {name: _failed_share(view, window, name) for name in (TOKEN, NEW_IDENTITY, *WRITES)}
    conditions = Conditions(window)
    for name in (TOKEN, *WRITES):
        conditions.above(f"failed_{name}", shares[name], 0.0)
    return (
        conditions.above(f"failed_{NEW_IDENTITY}", shares[NEW_IDENTITY], 0.5)
        .above("cached_token_uses", view.record.delta(CACHED, *window, region=PAIR), 0)
        .finding()
    )


def _failed_share(view: IncidentView, window: tuple[float, float], operation: str) -> float | None:
    ended = view.record.events_of(OPERATION, *window, region=PAIR, operation=operation)
    return sum(event["result"] != "success" for event in ended) / len(ended) if ended else None


@check("M24", "attempts per operation: at least 2 while the pair fails, at most 1.2 before", needs=("storm", "before"))
def retries_amplify(view: IncidentView, storm: Window, before: Window) -> ClaimFinding:
    return (
        Conditions(storm)
        .at_least("amplification", view.amplification(*storm), 2.0)
        .at_most("amplification_before", view.amplification(*before), 1.2)
        .finding()
    )


@check(
    "M25",
    "requests from East including retries exceed the nominal capacity of its nodes; first attempts alone do not",
    needs=("storm", "after_scale_1"),
)
def beyond_the_limits_of_east(view: IncidentView, storm: Window, later: Window) -> ClaimFinding:
    offered, first_tries = view.attempt_rate(*storm, EAST), view.started_rate(*later, EAST)
    storm_limit, later_limit = view.nominal_rate(*storm, EAST), view.nominal_rate(*later, EAST)
    return (
        Conditions((storm[0], later[1]))
        .above("offered_per_limit", per(offered, storm_limit), 1.0)
        .at_most("first_tries_per_limit", per(first_tries, later_limit), 1.0)
        .finding()
    )


@check(
    "M26",
    "after the restore in East its router sends requests to West, which it did not before; most requests from East "
    "are then retries; West collapses after East",
    control="failover-off",
    needs=("restore_east", "before"),
)
def retries_are_routed_west(view: IncidentView, east: float, before: Window) -> ClaimFinding:
    window = (east + 2.0, east + 23.0)
    attempts = view.record.delta(ATTEMPTS, *window, layer="sdk", region=EAST)
    started = view.record.delta(STARTED, *window, region=EAST)
    west = view.collapse_t(WEST, east)
    return (
        Conditions(window)
        .above("east_to_west_per_s", view.record.rate(ROUTED, *window, home=EAST, region=WEST), 1.0)
        .below("east_to_west_per_s_before", view.record.rate(ROUTED, *before, home=EAST, region=WEST), 0.1)
        .above("retry_share", 1 - started / attempts if attempts and started is not None else None, 0.5)
        .order("east_west", view.collapse_t(EAST, east), west)
        .show("west_restored_t", view.at.restore_west)
        .finding()
    )


@check(
    "M27",
    "from the restore in East to the end, attempts in every other region succeed (worst region > 0.99)",
    needs=("restore_east",),
)
def confined_to_the_pair(view: IncidentView, east: float) -> ClaimFinding:
    window = (east, view.at.end)
    shares = {region: view.attempt_success(*window, region) for region in view.others}
    known = [share for share in shares.values() if share is not None]
    return (
        Conditions(window)
        .at_least("regions_watched", len(known) if view.record.series.knows(ATTEMPTS) else None, 1)
        .above("worst_region", min(known, default=None), 0.99)
        .show("by_region", shares)
        .finding()
    )


@check(
    "M37",
    "after the last restore (T12): no exempt account is private, provisioning works in all regions outside the pair, "
    "and identity operations in the pair fail",
    needs=("restore_west",),
)
def storage_impact_ends_elsewhere(view: IncidentView, west: float) -> ClaimFinding:
    window = (west + REQUEUE_S, west + 2.5 * REQUEUE_S)
    elsewhere = [region for region in view.affected if region not in PAIR]
    shares = [view.tries_success(*window, region) for region in elsewhere]
    off = view.record.gauge(ACCOUNTS, west + 3.0, window[1], "max", exempt="true", public="false")
    return (
        Conditions(window)
        .at_most("exempt_accounts_off", off, 0)
        .above("worst_region_elsewhere", min((s for s in shares if s is not None), default=None), 0.9)
        .below("op_success_pair", view.op_success(*window), 0.5)
        .finding()
    )


@check(
    "M38",
    "before the last restores, provisioning works in more regions (over half of attempts finish) than before the "
    "rollback",
    needs=("rollback", "restore_east"),
)
def improves_as_work_progresses(view: IncidentView, begun: float, east: float) -> ClaimFinding:
    length = (east - begun) / 4
    return (
        Conditions((begun, east))
        .above("regions_gained", regions_gained(view), 0)
        .show("working_before", _working(view, begun - length, begun))
        .show("working_late", _working(view, east - length, east))
        .finding()
    )


def regions_gained(view: IncidentView) -> int | None:
    """Increase in the number of regions with working provisioning, from before the rollback to its last quarter."""
    begun, east = view.at.rollback, view.at.restore_east
    if begun is None or east is None:
        return None
    length = (east - begun) / 4
    before, late = _working(view, begun - length, begun), _working(view, east - length, east)
    return None if before is None or late is None else len(late) - len(before)


def _working(view: IncidentView, start: float, end: float) -> list[str] | None:
    """Regions in which over half of the provisioning attempts finish."""
    shares = {region: view.tries_success(start, end, region) for region in view.regions}
    known = {region: share for region, share in shares.items() if share is not None}
    return sorted(region for region, share in known.items() if share > 0.5) if known else None


@check(
    "M39",
    "identity attempts in the pair succeed throughout the storage outage (> 0.95) and collapse in East within 10 s of "
    "the restore there",
    control="no-restore",
    needs=("restore_east",),
)
def caused_by_recovery(view: IncidentView, east: float) -> ClaimFinding:
    window = (view.at.trigger, east)
    collapse = view.collapse_t(EAST, east)
    return (
        Conditions(window)
        .above("attempt_success_during_outage", view.attempt_success(*window), 0.95)
        .at_most("collapse_after_restore_s", None if collapse is None else collapse - east, DETECTION_S)
        .finding()
    )
