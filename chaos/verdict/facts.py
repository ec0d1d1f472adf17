"""The five facts of the incident, with the numbers of docs/model.md §4.

Offsets depend on queue and timeout dynamics (bench seconds until queues fill), so the short scenario uses the same.
"""

from chaos.verdict.model import NO_ACTION, ClaimFinding, Conditions, check, not_judged
from chaos.verdict.times import Window
from chaos.verdict.view import EAST, WEST, View


@check("F0", "operation success in East and West > 0.995 from the warm-up to the restore in East (T09)")
def baseline(view: View) -> ClaimFinding:
    end = view.at.restore_east if view.at.restore_east is not None else view.at.scale_1
    if end is None:
        end = view.at.end
    window = (view.at.start + 10.0, end)
    return Conditions(window).above("op_success", view.op_success(*window), 0.995).finding()


@check(
    "F1",
    "from 2 to 16 s after the restore in East: attempt success of East < 0.10 and busy workers there > 0.95",
    needs=("restore_east",),
)
def east_saturates(view: View, east: float) -> ClaimFinding:
    window = (east + 2.0, east + 16.0)
    return (
        Conditions(window)
        .below("attempt_success_east", view.attempt_success(*window, EAST), 0.10)
        .above("busy_east", view.busy(EAST, *window), 0.95)
        .show("collapse_t", view.collapse_t(EAST, east))
        .finding()
    )


@check(
    "F2",
    "from 12 s after the restore in East to the restore in West (T12): attempt success of West < 0.20 and busy "
    "workers there > 0.95; attempt success of West falls below 0.5 later than that of East",
    control="failover-off",
)
def west_follows(view: View) -> ClaimFinding:
    east, west = view.at.restore_east, view.at.restore_west
    if east is None:
        return not_judged(NO_ACTION)
    window = (east + 12.0, west if west is not None and west >= east + 16.0 else east + 23.0)
    return (
        Conditions(window)
        .below("attempt_success_west", view.attempt_success(*window, WEST), 0.20)
        .above("busy_west", view.busy(WEST, *window), 0.95)
        .order("east_then_west", view.collapse_t(EAST, east), view.collapse_t(WEST, east))
        .finding()
    )


@check(
    "F3",
    "operation success in East and West < 0.30 after the first scale-out and after the second",
    needs=("after_scale_1", "after_scale_2"),
)
def scale_outs_are_useless(view: View, first: Window, second: Window) -> ClaimFinding:
    return (
        Conditions((first[0], second[1]))
        .below("op_success_after_first", view.op_success(*first), 0.30)
        .below("op_success_after_second", view.op_success(*second), 0.30)
        .finding()
    )


@check(
    "F4",
    "at the end of the run: operation success in East and West > 0.99, amplification < 1.1, backlog < 20 at size 1",
    control="abrupt-reopen",
)
def drain_and_ramp_recover(view: View) -> ClaimFinding:
    if view.at.drain is None or view.at.ramp is None:
        return not_judged(NO_ACTION)
    window = view.final
    return recovered(view, Conditions(window), window).finding()


def recovered(view: View, conditions: Conditions, window: tuple[float, float]) -> Conditions:
    """Adds the three conditions of a recovered service."""
    return (
        conditions.above("op_success", view.op_success(*window), 0.99)
        .below("amplification", view.amplification(*window), 1.1)
        .below("backlog", view.backlog(*window), view.backlog_gone)
    )
