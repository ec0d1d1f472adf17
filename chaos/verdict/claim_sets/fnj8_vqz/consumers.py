"""Customer impact: the consumers S01–S22 and the mechanisms about them (M10–M13, M40–M42).

Window A is the storage outage, window B the identity outage (`IncidentView`). A journey belongs to the window in which
it started.
"""

from collections.abc import Iterable
from functools import partial
from statistics import median

from chaos.record.record import Event
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import PAIR, IncidentView
from chaos.verdict.model import ClaimFinding, Conditions, per
from chaos.verdict.times import NEVER, Window
from loadgen.settings import LoadgenSettings
from loadgen.tenants import Tenant, default_table
from services.chassis.settings import section

RUNNER_TIMEOUT = "RunnerWaitTimeout"
STORAGE_CODES = ("PublicAccessNotPermitted", "VMExtension", "VMArtifact", "ResourceOperationFailure")
UNTOUCHED = 0.02
HURT = 0.05
SPARED = 0.1
"""Upper limit of the impact in A relative to B, for a tenant hit only in B. Service times have a tail, so not 0."""
SLOW = 5.0
MIN_JOURNEYS = 5


def slugs(*ids: str) -> tuple[str, ...]:
    """The slugs of the tenants of these rows of the conformance table."""
    return tuple(tenant.slug for tenant in default_table().tenants if tenant.id in ids)


def token_users() -> tuple[str, ...]:
    """The slugs of the tenants that call the identity service directly."""
    return tuple(tenant.slug for tenant in default_table().tenants if tenant.load == "tokens")


def journeys(view: IncidentView, tenants: Iterable[str], window: Window) -> list[Event]:
    """Journeys of these tenants that started in a window (and ended before the end of the run)."""
    found = (view.journeys.get(tenant, ()) for tenant in tenants)
    return [event for events in found for begun, event in events if window[0] <= begun < window[1]]


def failures(view: IncidentView, tenants: Iterable[str], window: Window) -> list[Event]:
    """The journeys that failed or were abandoned."""
    return [event for event in journeys(view, tenants, window) if event["result"] != "success"]


def impact(view: IncidentView, tenants: Iterable[str], window: Window) -> float | None:
    """Share of journeys with impact: failed, abandoned, or over five times slower than the tenant's baseline median.

    None with fewer than five journeys.
    """
    hurt = total = 0
    for tenant in tenants:
        usual = [e["duration_s"] for e in journeys(view, (tenant,), (view.at.start, view.at.trigger))]
        limit = SLOW * median(usual) if usual else NEVER
        for event in journeys(view, (tenant,), window):
            total += 1
            hurt += event["result"] != "success" or event["duration_s"] > limit
    return hurt / total if total >= MIN_JOURNEYS else None


def _suffers(view: IncidentView, a: Window, b: Window, *, row: str, hit: str) -> ClaimFinding:
    tenants = [tenant for tenant in default_table().tenants if tenant.id == row]
    conditions = Conditions((a[0], b[1]))
    if "A" in hit:
        jobs = tuple(tenant.slug for tenant in tenants if tenant.load == "jobs")
        conditions.above("hurt_share_in_A", impact(view, jobs, a), HURT)
    if "B" in hit:
        tokens = tuple(tenant.slug for tenant in tenants if tenant.load == "tokens")
        early, late = impact(view, tokens, _quiet(a)), impact(view, tokens, b)
        conditions.above("hurt_share_in_B", late, HURT)
        conditions.below("hurt_in_A_per_hurt_in_B", per(early, late), SPARED)
    return conditions.finding()


def _quiet(a: Window) -> Window:
    """Window A without its last 2 s: journeys that start in them may end in window B."""
    return a[0], a[1] - 2.0


def _texts(hit: str) -> str:
    return {
        "A": "more than 5 % of journeys started in the storage outage fail or take over 5 times as long as at baseline",
        "B": "more than 5 % of journeys started after the restore in East fail or are 5 times slower, and less than a "
        "tenth of that share in the storage outage",
        "A+B": "provisioning journeys are affected in the storage outage (> 5 %), token journeys after the restore in "
        "East (> 5 %, and less than a tenth of that share before)",
    }[hit]


def _register() -> None:
    windows_of: dict[str, str] = {}
    tenant: Tenant
    for tenant in default_table().tenants:
        if not tenant.id.startswith("S"):
            continue  # a row of another group has a predicate of its own
        windows_of.setdefault(tenant.id, tenant.window)
    for row, hit in windows_of.items():
        check(row, _texts(hit), needs=("storage_outage", "identity_outage"))(partial(_suffers, row=row, hit=hit))


_register()


@check(
    "M10",
    "in the storage outage journeys of each of virtual machines, scale sets, Kubernetes and pipelines fail",
    needs=("storage_outage",),
)
def each_class_fails(view: IncidentView, outage: Window) -> ClaimFinding:
    conditions = Conditions(outage)
    operations: set[str] = set()
    for row in ("S01", "S02", "S03", "S04"):
        failed = failures(view, slugs(row), outage)
        operations |= {f"{row} {event.get('operation', '')}" for event in failed}
        known = journeys(view, slugs(row), outage)
        conditions.above(f"failed_{row}", len(failed) if known else None, 0)
    return conditions.show("operations", operations).finding()


@check(
    "M11",
    "Actions jobs that fail in the storage outage time out waiting for a runner (median wait over the limit ≥ 0.95), "
    "for every runner type and in every region whose accounts were private for long enough",
    needs=("storage_outage",),
)
def actions_jobs_time_out(view: IncidentView, outage: Window) -> ClaimFinding:
    ended = journeys(view, slugs("S05"), outage)
    failed = [event for event in ended if event["result"] != "success"]
    wait_s = _runner_wait_s(view)
    timed_out = [event["duration_s"] / wait_s for event in failed if event["code"] == RUNNER_TIMEOUT]
    expected = {region for region in view.affected if _could_time_out(view, region, ended, wait_s)}
    return (
        Conditions(outage)
        .above("failed_jobs", len(failed) if ended else None, 0)
        .at_least("share_timed_out", len(timed_out) / len(failed) if failed else None, 0.95)
        .at_least("waited_per_limit", median(timed_out) if timed_out else None, 0.95)
        .true("every_region", {event["region"] for event in failed} >= expected if ended else None)
        .true("every_runner_type", _types(failed) == _types(ended) if ended else None)
        .finding()
    )


def _could_time_out(view: IncidentView, region: str, jobs: list[Event], wait_s: float) -> bool:
    """Whether enough jobs of the region could reach the wait limit while its accounts were private."""
    off, on = view.first_off[region], view.last_on.get(region, view.at.end)
    begun = [float(event["t"] - event["duration_s"]) for event in jobs if event["region"] == region]
    return sum(off <= t < on - wait_s for t in begun) >= MIN_JOURNEYS


def _types(events: list[Event]) -> set[str]:
    return {event["runner"] for event in events if "runner" in event}


def _runner_wait_s(view: IncidentView) -> float:
    tree = section(view.record.plan.get("settings") or {}, "loadgen", "")
    return float(tree.get("runner_wait_s", LoadgenSettings().runner_wait_s))


@check(
    "M12",
    "each of the six features that run on hosted runners is affected in the storage outage, but none of their failures "
    "has a storage or extension error code",
    needs=("storage_outage",),
)
def dependents_fail(view: IncidentView, outage: Window) -> ClaimFinding:
    conditions = Conditions(outage)
    direct = 0
    for row in ("S06", "S07", "S08", "S09", "S10", "S11"):
        conditions.above(f"hurt_share_{row}", impact(view, slugs(row), outage), HURT)
        direct += sum(_names_storage(event["code"]) for event in failures(view, slugs(row), outage))
    return conditions.at_most("failures_that_name_storage", direct, 0).finding()


def _names_storage(code: str) -> bool:
    return code.startswith(STORAGE_CODES)


@check(
    "M13",
    "Arc servers and PostgreSQL, which download packages themselves, are affected in the storage outage (> 5 %)",
    needs=("storage_outage",),
)
def other_downloaders_fail(view: IncidentView, outage: Window) -> ClaimFinding:
    conditions = Conditions(outage)
    for row in ("S12", "S13"):
        conditions.above(f"hurt_share_{row}", impact(view, slugs(row), outage), HURT)
    return conditions.finding()


@check(
    "M40",
    "impact differs between tenants over the whole incident; some are not affected by the storage outage",
    needs=("storage_outage",),
)
def impact_varies(view: IncidentView, outage: Window) -> ClaimFinding:
    whole = (view.at.trigger, view.at.end)
    over_all, in_a = _by_tenant(view, whole), _by_tenant(view, outage)
    untouched = sorted(name for name, share in in_a.items() if share <= UNTOUCHED)
    spread = max(over_all.values()) - min(over_all.values()) if over_all else None
    return (
        Conditions(whole)
        .above("spread_of_hurt_share", spread, 0.05)
        .above("untouched_tenants_in_A", len(untouched) if in_a else None, 0)
        .show("untouched", untouched)
        .finding()
    )


def _by_tenant(view: IncidentView, window: Window) -> dict[str, float]:
    shares = {name: impact(view, (name,), window) for name in sorted(view.journeys)}
    return {name: share for name, share in shares.items() if share is not None}


@check(
    "M42",
    "successful requests become slower too: the median duration of successful identity journeys in the pair under "
    "overload is more than 1.5 times the baseline",
    needs=("overload",),
)
def performance_degrades(view: IncidentView, storm: Window) -> ClaimFinding:
    base = _median_s(view, (view.at.start + 5, view.at.trigger))
    worn = _median_s(view, storm)
    return (
        Conditions(storm)
        .above("duration_per_base", per(worn, base), 1.5)
        .show("median_s_at_base", base)
        .show("median_s_under_overload", worn)
        .finding()
    )


def _median_s(view: IncidentView, window: Window) -> float | None:
    good = [e for e in journeys(view, token_users(), window) if e["result"] == "success" and e["region"] in PAIR]
    return median(event["duration_s"] for event in good) if len(good) >= MIN_JOURNEYS else None
