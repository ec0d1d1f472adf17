"""The systems that the report names besides the consumers (S23–S39): whether each behaved as the report says.

Where a mechanism makes the same claim more precisely, the row is judged by that mechanism's predicate.
"""

from chaos.record.metric_names import ACCOUNTS, BLOBS, JOBS
from chaos.verdict.claim_sets.fnj8_vqz.table import as_mechanism, check
from chaos.verdict.claim_sets.fnj8_vqz.timeline import MI_ALERT
from chaos.verdict.claim_sets.fnj8_vqz.trigger import DETECTION_ALERT
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, IncidentView
from chaos.verdict.model import ClaimFinding, Conditions, per

SAME_AS = {"S28": "M03", "S29": "M07", "S30": "M08", "S32": "M24", "S33": "M26", "S38": "T15"}
for _row, _mechanism in SAME_AS.items():
    as_mechanism(_row, _mechanism)


@check("S23", "the policy made storage accounts private, both exempt and other accounts")
def accounts_were_the_target(view: IncidentView) -> ClaimFinding:
    known = view.record.series.knows(ACCOUNTS)
    return (
        Conditions()
        .above("exempt_switched_off", len(view.flips(False, exempt=True)) if known else None, 0)
        .above("others_switched_off", len(view.flips(False, exempt=False)) if known else None, 0)
        .finding()
    )


@check("S24", "accounts that host extensions were made private, and anonymous reads of packages got 409")
def extension_accounts_lost_access(view: IncidentView) -> ClaimFinding:
    off = {event["account"] for event in view.flips(False, exempt=True)}
    denied = view.record.delta(BLOBS, view.at.trigger, view.at.end, auth="anonymous", code="409")
    return (
        Conditions()
        .above("extension_accounts_off", sum(account.startswith("vmext") for account in off), 0)
        .above("denied_reads", denied, 0)
        .finding()
    )


@check("S25", "extension packages are read anonymously while provisioning, before and after the incident")
def artifacts_are_read(view: IncidentView) -> ClaimFinding:
    ok = {"auth": "anonymous", "code": ("200", "206")}
    return (
        Conditions()
        .above("reads_per_s_before", view.record.rate(BLOBS, view.at.start, view.at.trigger, **ok), 0)
        .above("reads_per_s_at_end", view.record.rate(BLOBS, *view.final, **ok), 0)
        .finding()
    )


@check("S26", "the workflow ran at least twice")
def the_workflow_is_periodic(view: IncidentView) -> ClaimFinding:
    runs = view.record.events_of("remediation_started")
    return Conditions().at_least("runs", len(runs), 2).finding()


@check("S27", "the policy reached its goal: at the end no non-exempt account is public")
def the_policy_reached_its_aim(view: IncidentView) -> ClaimFinding:
    left = view.record.gauge(ACCOUNTS, *view.final, "last", public="true", exempt="false")
    before = view.record.gauge(ACCOUNTS, view.at.start, view.at.start + 2, "max", public="true", exempt="false")
    return Conditions().above("wrongly_public_before", before, 0).at_most("wrongly_public_at_end", left, 0).finding()


@check(
    "S31",
    "orchestration held blocked jobs in the storage outage, and released them when access was restored in East",
    needs=("restore_east",),
)
def orchestration_holds_and_releases(view: IncidentView, east: float) -> ClaimFinding:
    base = view.record.gauge(JOBS, view.at.start + 5, view.at.trigger, region=EAST, state="blocked")
    held = view.record.gauge(JOBS, east - 10, east, region=EAST, state="blocked")
    after = view.record.gauge(JOBS, east + 1, east + 12, "max", region=EAST, state="running")
    before = view.record.gauge(JOBS, view.at.start + 5, view.at.trigger, region=EAST, state="running")
    return (
        Conditions((view.at.trigger, east + 12))
        .above("blocked_before_restore", held, (base or 0.0) + 3)
        .above("running_after_per_base", per(after, before), 1.0)
        .finding()
    )


@check("S34", "identity nodes were added twice, crashed, and are all up at the end", needs=("scale_1", "scale_2"))
def identity_nodes(view: IncidentView, first: float, second: float) -> ClaimFinding:
    counts = [view.nodes(first - 4, first - 1), view.nodes(second - 4, second - 1), view.nodes(*view.final)]
    up = view.nodes_up(*view.final)
    crashes = view.record.events_of("node_crashed", region=PAIR)
    return (
        Conditions()
        .order("nodes", *counts)
        .above("crashes", len(crashes) if counts[0] is not None else None, 0)
        .at_least("up_at_end", per(up, counts[2]), 1.0)
        .finding()
    )


@check("S35", "monitoring of provisioning raised an alert during the storage outage")
def monitoring_detected(view: IncidentView) -> ClaimFinding:
    fired = view.fired_t(DETECTION_ALERT, view.at.trigger)
    return Conditions().order("trigger_then_alert", view.at.trigger, fired).finding()


@check(
    "S36",
    "an alert on managed-identity availability fired in East after the restore there",
    needs=("restore_east",),
)
def availability_alert_fired(view: IncidentView, east: float) -> ClaimFinding:
    return Conditions().order("restore_then_alert", east, view.fired_t(MI_ALERT, east, region=EAST)).finding()
