"""The policy failure: targeting, rollout, gate (M01–M09), and its detection and mitigation (M14–M18)."""

from itertools import pairwise

from chaos.record.metric_names import ACCOUNTS, BLOBS, JOBS, TRIES
from chaos.record.record import Event
from chaos.verdict.claim_sets.fnj8_vqz.consumers import slugs
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.model import ClaimFinding, Conditions, per
from chaos.verdict.times import NEVER
from chaos.verdict.view import first_time

SKIPPED = "remediation_accounts_total"
PERIOD_TOLERANCE = 0.02
BACKLOG_MIN = 3.0
DETECTION_ALERT = "ControlPlaneFailures"
CORRELATED_ALERT = "MultiRegionControlPlaneFailures"
LIMIT_ALERT = "FailureRateThreshold"
REQUEUE_S = 12.0


def _runs(view: IncidentView) -> list[Event]:
    return view.record.events_of("remediation_started")


def _first_run_waves(view: IncidentView) -> list[Event]:
    """Waves of the first run that had targets."""
    runs = _runs(view)
    if not runs:
        return []
    waves = view.record.events_of("remediation_wave_started", run=runs[0]["run"])
    return [wave for wave in waves if wave["targets"]]


def _is_periodic(runs: list[Event]) -> bool | None:
    """Whether the runs start on multiples of one period; None with fewer than two runs."""
    if len(runs) < 2:
        return None
    steps = [run["period"] - runs[0]["period"] for run in runs[1:]]
    gaps = [run["t"] - runs[0]["t"] for run in runs[1:]]
    if min(steps) <= 0:
        return False
    periods = [float(gap / step) for gap, step in zip(gaps, steps, strict=True)]
    return max(periods) - min(periods) <= PERIOD_TOLERANCE * max(periods)


@check(
    "M01", "every account that becomes private is changed by a run of the workflow, and the runs have a fixed period"
)
def caused_by_the_workflow(view: IncidentView) -> ClaimFinding:
    runs = _runs(view)
    off = view.flips(False)
    by_runs = [event for event in off if event["actor"] in {run["run"] for run in runs}]
    return (
        Conditions()
        .at_least("runs", len(runs), 1)
        .above("switched_off", len(off), 0)
        .at_least("share_by_workflow", len(by_runs) / len(off) if off else None, 1.0)
        .true("on_a_beat", _is_periodic(runs))
        .finding()
    )


@check(
    "M02",
    "exempt accounts with a known exemption record are skipped: skipped > 0, and some exempt accounts stay public",
    control="repaired-inventory",
)
def honours_known_exemptions(view: IncidentView) -> ClaimFinding:
    window = (view.at.start, view.at.end)
    flipped = {event["account"] for event in view.flips(False, exempt=True)}
    exempt = view.record.gauge(ACCOUNTS, view.at.start, view.at.start + 2, "max", exempt="true")
    return (
        Conditions(window)
        .above("skipped", view.record.delta(SKIPPED, *window, result="skipped_exempt"), 0)
        .above("exempt_never_touched", None if exempt is None else exempt - len(flipped), 0)
        .finding()
    )


@check(
    "M03",
    "the snapshot lacks exemption records and is stale, and no more exempt accounts become private than records are "
    "missing",
    control="repaired-inventory",
)
def targets_follow_a_stale_snapshot(view: IncidentView) -> ClaimFinding:
    snapshots = view.record.events_of("remediation_snapshot")
    flipped = {event["account"] for event in view.flips(False, exempt=True)}
    missing = max((event["exemptions_missing"] for event in snapshots), default=None)
    return (
        Conditions()
        .above("exemptions_missing", missing, 0)
        .above("snapshot_age_s", max((event["age_s"] for event in snapshots), default=None), 0)
        .above("exempt_switched_off", len(flipped), 0)
        .at_most("switched_off_per_missing_record", len(flipped) / missing if missing else None, 1.0)
        .finding()
    )


@check(
    "M04",
    "some but not all exempt accounts become private; other accounts become private too, and stay private",
)
def a_subset_of_exempt_accounts(view: IncidentView) -> ClaimFinding:
    flipped = {event["account"] for event in view.flips(False, exempt=True)}
    rightly = {event["account"] for event in view.flips(False, exempt=False)}
    undone = {event["account"] for event in view.flips(True, exempt=False)}
    exempt = view.record.gauge(ACCOUNTS, view.at.start, view.at.start + 2, "max", exempt="true")
    share = len(flipped) / exempt if exempt else None
    return (
        Conditions()
        .above("exempt_share_switched_off", share, 0.0)
        .below("exempt_share_switched_off", share, 1.0)
        .above("rightly_switched_off", len(rightly), 0)
        .at_most("rightly_switched_off_then_restored", len(undone), 0)
        .finding()
    )


@check(
    "M05",
    "packages are read directly from storage: at baseline each finished creation reads at least one package "
    "anonymously; where accounts are private, less than half of provisioning attempts finish",
)
def packages_come_from_storage(view: IncidentView) -> ClaimFinding:
    record, start = view.record, view.at.start
    reads = record.delta(BLOBS, start, view.at.trigger, auth="anonymous", code=("200", "206"))
    finished = record.events_of("job_finished", start, view.at.trigger, result="succeeded")
    created = sum(_reads_packages(event) for event in finished)
    conditions = (
        Conditions((start, view.at.end))
        .at_least("reads_per_creation_at_base", per(reads, created), 1.0)
        .above("tries_done_at_base", view.tries_success(start + 10, view.at.trigger), 0.95)
    )
    blocked = [view.tries_success(*window, region) for region, window in _off_windows(view).items()]
    known = [share for share in blocked if share is not None]
    return conditions.below("tries_done_where_off", max(known, default=None), 0.5).finding()


def _reads_packages(job: Event) -> bool:
    """Whether a finished job needed a package: Arc and PostgreSQL servers are created without an extension."""
    bare = job["operation"] == "vm_create" and job["tenant"] in slugs("S12", "S13")
    return bool(job["operation"].endswith("_create")) and not bare


def _off_windows(view: IncidentView) -> dict[str, tuple[float, float]]:
    """Per affected region, the window in which its exempt accounts are private, without the first 10 s."""
    windows = {}
    for region, off in view.first_off.items():
        on = min(view.first_on.get(region, view.at.end), view.at.end)
        if on - off > 20:
            windows[region] = (off + 10.0, on)
    return windows


@check("M06", "in every affected region, in this order: a 409 on a package, a blocked provisioning, a growing backlog")
def storage_then_control_plane_then_queue(view: IncidentView) -> ClaimFinding:
    served = set(view.record.label_values(TRIES, "region"))
    chains = {region: _chain(view, region) for region in view.affected if region in served}
    ordered = [all(a <= b for a, b in pairwise(chain)) and NEVER not in chain for chain in chains.values()]
    return (
        Conditions((view.at.trigger, view.at.end))
        .above("affected_regions", len(chains) if view.record.series.knows(BLOBS) else None, 0)
        .at_least("share_in_order", sum(ordered) / len(ordered) if ordered else None, 1.0)
        .show("first_409_blocked_backlog", chains)
        .finding()
    )


def _chain(view: IncidentView, region: str) -> list[float]:
    denied = view.first_growth(BLOBS, region=region, auth="anonymous", code="409")
    blocked = view.first_growth(TRIES, region=region, result="blocked")
    times, backlog = view.backlog_curve(region)
    base = view.record.gauge(JOBS, view.at.start, view.at.trigger, "max", region=region, state=("queued", "blocked"))
    piled = first_time(times, (times > view.at.trigger) & (backlog >= (base or 0.0) + BACKLOG_MIN))
    return [NEVER if t is None else t for t in (denied, blocked, piled)]


@check("M07", "in the first run the regions are changed sequentially: each is finished before the next starts")
def region_by_region(view: IncidentView) -> ClaimFinding:
    waves = _first_run_waves(view)
    run = _runs(view)[0]["run"] if waves else None
    overlaps = 0
    for wave, following in pairwise(waves):
        flips = [event["t"] for event in view.flips(False, actor=run, region=wave["region"])]
        overlaps += max(flips, default=wave["t"]) >= following["t"]
    return (
        Conditions((waves[0]["t"], waves[-1]["t"]) if waves else None)
        .at_least("waves", len(waves), 2)
        .at_most("overlapping_waves", overlaps, 0)
        .finding()
    )


@check(
    "M08",
    "the gate lets the job proceed although the failure ratio of provisioning in the region just changed is above its "
    "threshold; all regions are reached in less than half the bake time that the rollout should have taken",
    control="repaired-gate",
)
def gate_lets_it_spread(view: IncidentView) -> ClaimFinding:
    waves = _first_run_waves(view)
    gate = view.gate()
    passes = view.record.events_of("gate_decision", run=_runs(view)[0]["run"], decision="proceed") if waves else []
    begun: dict[str, float] = {wave["region"]: wave["t"] for wave in waves}
    blind = failing = 0
    for decision in passes:
        since = begun.get(decision["region"], float(decision["t"]))
        success = view.tries_success(since, decision["t"], decision["region"])
        if success is not None:
            failing += 1 - success > gate.unhealthy_ratio
            blind += 1
    spread = waves[-1]["t"] - waves[0]["t"] if waves else None
    bake = gate.bake_s * (len(waves) - 1)
    return (
        Conditions((waves[0]["t"], waves[-1]["t"]) if waves else None)
        .above("passed_while_failing", failing / blind if blind else None, 0.5)
        .below("spread_per_bake_time", spread / bake if spread is not None and bake > 0 else None, 0.5)
        .show("gate_reasons", sorted({decision["reason"] for decision in passes}))
        .finding()
    )


@check("M09", "more regions lose exempt accounts than the one that a working gate would have allowed")
def beyond_the_blast_radius(view: IncidentView) -> ClaimFinding:
    hit, regions = len(view.affected), len(view.regions)
    return (
        Conditions()
        .above("regions_hit_per_intended", float(hit) if _runs(view) else None, 1.0)
        .show("regions_hit", hit)
        .show("regions", regions)
        .finding()
    )


def detected_regions(view: IncidentView) -> tuple[float | None, set[str]]:
    """When the first alert on provisioning failures fired, and in which regions it had fired one second later."""
    first = view.fired_t(DETECTION_ALERT, view.at.trigger)
    if first is None or first == NEVER:
        return first, set()
    fired = view.record.events_of("alert", view.at.trigger, first + 1.0, name=DETECTION_ALERT, state="firing")
    return first, {event["region"] for event in fired}


@check("M14", "monitoring first detects failures in fewer regions than are hit in total")
def first_seen_in_a_subset(view: IncidentView) -> ClaimFinding:
    first, seen = detected_regions(view)
    affected = set(view.affected)
    return (
        Conditions()
        .order("detected", view.at.trigger, first)
        .at_least("detected_regions", len(seen) if first is not None else None, 1)
        .true("detected_are_affected", seen <= affected if first is not None else None)
        .below("detected_share", len(seen) / len(affected) if affected and first is not None else None, 1.0)
        .finding()
    )


@check(
    "M15", "alerts in the order: failures in some regions, correlated over regions, above the limit (thresholds ours)"
)
def detection_in_stages(view: IncidentView) -> ClaimFinding:
    return Conditions().order("alerts", *detection_times(view)).finding()


def detection_times(view: IncidentView) -> tuple[float | None, float | None, float | None]:
    start = view.at.trigger
    return (
        view.fired_t(DETECTION_ALERT, start),
        view.fired_t(CORRELATED_ALERT, start),
        view.fired_t(LIMIT_ALERT, start),
    )


@check(
    "M16", "the first account restored is in the canary; provisioning works there before any other region is restored"
)
def validated_on_the_canary(view: IncidentView) -> ClaimFinding:
    canaries = view.role("canary")
    first = min((view.first_on[region] for region in canaries if region in view.first_on), default=NEVER)
    rest = min((t for region, t in view.first_on.items() if region not in canaries), default=NEVER)
    works = None if NEVER in (first, rest) else view.tries_success(first + REQUEUE_S, rest, canaries)
    return (
        Conditions((first, rest) if NEVER not in (first, rest) else None)
        .order("canary_then_others", first, rest)
        .above("tries_done_in_canary", works, 0.9)
        .finding()
    )


@check(
    "M17",
    "after the workflow is disabled no account becomes private; before, accounts did",
    control="no-cancel",
    needs=("canceled_t",),
)
def disabled_for_good(view: IncidentView, stop: float) -> ClaimFinding:
    off = [event["t"] for event in view.flips(False)]
    return (
        Conditions((stop, view.at.end))
        .above("switched_off_before", sum(t <= stop for t in off), 0)
        .at_most("switched_off_after", sum(t > stop for t in off), 0)
        .finding()
    )


@check("M18", "the restore of accounts starts at a different time in each region")
def rolled_back_by_region(view: IncidentView) -> ClaimFinding:
    canaries = view.role("canary")
    begun = {region: t for region, t in view.first_on.items() if region not in canaries}
    first, last = min(begun.values(), default=0.0), max(view.last_on.values(), default=0.0)
    return (
        Conditions((first, last) if begun else None)
        .at_least("regions_restored", len(begun), 2)
        .at_least("distinct_beginnings_share", len(set(begun.values())) / len(begun) if begun else None, 1.0)
        .show("from_first_region_to_last_s", max(begun.values(), default=0.0) - first)
        .finding()
    )
