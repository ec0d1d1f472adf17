"""GitHub's availability report (O07–O10): hosted runners and Codespaces, and when each had recovered.

A kind of machine has recovered when one has come and no more of them are on order than before the incident. Users see
this: a machine is on order until the user who ordered it has polled the end of its provisioning, or has given up.

Two parts of this, one has come and three on order, were added after two seeds had been seen (explanations.yaml).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from chaos.record.metric_names import JOURNEYS_ENDED, TRIES
from chaos.record.record import Event
from chaos.record.series import Array
from chaos.verdict.claim_sets.fnj8_vqz.consumers import HURT, failures, impact, slugs
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.model import ClaimFinding, Conditions
from chaos.verdict.times import NEVER, Window
from chaos.verdict.view import first_time

ACTIONS, CODESPACES = "S05", "O10"
RUNNERS = "loadgen_runners"
RUNNER_ORDERS = "loadgen_runner_orders_total"
PENDING_MIN = 3
JOURNEYS_STARTED = "loadgen_operations_started_total"


class MachineOrders(NamedTuple):
    """One kind of machine in one region, at each sample."""

    times: Array
    pending: Array
    """Machines on order."""
    came: Array
    """Machines that came since the start."""


OrdersOf = Callable[[IncidentView, str], MachineOrders]


def runners(runner_type: str) -> OrdersOf:
    """Hosted runners of a type."""

    def orders(view: IncidentView, region: str) -> MachineOrders:
        times, pending = view.record.curve(RUNNERS, region=region, runner=runner_type, state="ordered")
        came = view.record.total_curve(RUNNER_ORDERS, region=region, runner=runner_type, result="succeeded")[1]
        return MachineOrders(times, pending, came)

    return orders


def codespaces(view: IncidentView, region: str) -> MachineOrders:
    """Codespaces that are being created or resumed."""
    where = {"region": region, "tenant": slugs(CODESPACES)}
    times, begun = view.record.total_curve(JOURNEYS_STARTED, **where)
    ended = view.record.total_curve(JOURNEYS_ENDED, **where)[1]
    return MachineOrders(times, begun - ended, view.record.total_curve(JOURNEYS_ENDED, result="success", **where)[1])


def recovered_t(view: IncidentView, orders_in: OrdersOf) -> float | None:
    """When this kind of machine had recovered in all regions; None if no region was hit."""
    times = [_recovered_in(view, orders_in(view, region)) for region in view.affected]
    return max((t for t in times if t is not None), default=None)


def _recovered_in(view: IncidentView, orders: MachineOrders) -> float | None:
    """The first time after the peak of the storage outage at which one has come and as few are pending as before it.

    That one has come is required because orders also end when users give up. Fewer than three pending tell nothing.
    """
    times, pending, came = orders
    last = view.at.restore_west
    before = pending[(times >= view.at.start) & (times <= view.at.trigger)]
    outage = np.flatnonzero((times > view.at.trigger) & (times <= (view.at.end if last is None else last)))
    if not len(outage) or not np.isfinite(pending[outage]).any():
        return None
    usual = max(1.0, float(np.nanmax(before, initial=0.0)))
    most = float(np.nanmax(pending[outage]))
    if most < max(usual + 1, PENDING_MIN):
        return None
    peak = outage[pending[outage] == most][-1]
    after = (times > times[peak]) & (times <= view.at.end)
    return first_time(times, after & (pending <= usual) & (came > came[peak]))


def _lost_jobs(view: IncidentView) -> list[Event] | None:
    """Actions jobs that failed over the whole incident; None without a recorded job."""
    jobs = slugs(ACTIONS)
    known = any(view.journeys.get(tenant) for tenant in jobs)
    return failures(view, jobs, (view.at.trigger, view.at.end)) if known else None


@check("O07", "the first Actions job fails after the first provisioning is blocked: jobs wait before they fail")
def runners_fail_later(view: IncidentView) -> ClaimFinding:
    lost = _lost_jobs(view)
    first = None if lost is None else min((float(event["t"]) for event in lost), default=NEVER)
    return Conditions().order("blocked_failed", view.first_growth(TRIES, result="blocked"), first).finding()


@check("O08", "no Actions job that starts after the last restore fails", needs=("restore_west",))
def runners_recover_with_the_restores(view: IncidentView, west: float) -> ClaimFinding:
    lost = _lost_jobs(view)
    late = None if lost is None else [event for event in lost if event["t"] - event["duration_s"] > west]
    return (
        Conditions((west, view.at.end))
        .at_most("jobs_lost_after_last_restore", None if late is None else len(late), 0)
        .show("regions", {event["region"] for event in late or ()})
        .finding()
    )


@check(
    "O09",
    "the standard runners have recovered in all regions before the larger ones have; a kind has recovered in a region "
    "when, after the peak of the outage, one has come and no more are on order than before the incident",
)
def larger_runners_recover_later(view: IncidentView) -> ClaimFinding:
    standard, larger = (recovered_t(view, runners(name)) for name in ("standard", "larger"))
    return Conditions((view.at.trigger, view.at.end)).order("standard_larger", standard, larger).finding()


@check(
    "O10",
    "more than 5 % of codespaces started in the storage outage fail or take over 5 times as long as at baseline; as in "
    "O09, codespaces have recovered after the standard runners and before the larger ones",
    needs=("storage_outage",),
)
def codespaces_recover_in_between(view: IncidentView, outage: Window) -> ClaimFinding:
    kinds = (runners("standard"), codespaces, runners("larger"))
    return (
        Conditions((view.at.trigger, view.at.end))
        .above("hurt_share_in_A", impact(view, slugs(CODESPACES), outage), HURT)
        .order("standard_codespaces_larger", *(recovered_t(view, kind) for kind in kinds))
        .finding()
    )
