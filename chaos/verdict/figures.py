"""The key figures of a run, used in headlines, comparisons and matrix cells. None where not measurable."""

from typing import Any

import numpy as np

from chaos.record.metric_names import ATTEMPTS, ENDED, JOURNEYS_ENDED, NODE_UP, TRIES, WORK
from chaos.record.record import Of
from chaos.record.series import Array
from chaos.verdict.model import plain
from chaos.verdict.times import NEVER
from chaos.verdict.view import View

PEAK_WINDOW_S = 5.0
SUSTAINED_WINDOW_S = 10.0
WORKING = 0.95
BLOCKED_SHARE = 0.05


def figures(view: View) -> dict[str, Any]:
    """The key figures by name, in display order.

    Times are τ (bench seconds since 18:03 UTC), durations bench seconds.
    """
    record, at = view.record, view.at
    whole = (record.start, record.end)
    after = at.wave if at.wave is not None else at.trigger
    collapses = {side: view.collapse_t(region, after) for side, region in view.sides.items()}
    first_side = view.success_curve(next(iter(view.sides.values()), ()), SUSTAINED_WINDOW_S)
    values = {
        "peak_amplification": peak(view.amplification_curve(SUSTAINED_WINDOW_S)),
        "peak_attempts_per_s": peak(record.rate_curve(ATTEMPTS, PEAK_WINDOW_S, layer="sdk")),
        "collapse_depth": record.reduce(first_side, at.trigger, record.end, "min"),
        **{f"time_{side}_collapse_t": t for side, t in collapses.items()},
        "recovered_t": recovered_t(view, next(iter(collapses.values()), None)),
        "failed_operations": record.delta(ENDED, *whole, result="failed"),
        "failed_journeys": record.delta(JOURNEYS_ENDED, *whole, result=("failed", "abandoned")),
        "wasted_ratio": record.ratio(Of(WORK, outcome="wasted"), Of(WORK), *whole),
        "backlog_peak": peak(view.backlog_curve()),
        "crashes": len(record.events_of("node_crashed")) if record.series.knows(WORK) else None,
        "storage_impact_s": seconds(view, blocked(view)),
        "identity_impact_s": seconds(view, failing(view)),
        "peak_nodes": peak(_node_count(view)),
    }
    return {name: plain(value) for name, value in values.items()}


def peak(curve: tuple[Array, Array]) -> float | None:
    known = curve[1][np.isfinite(curve[1])]
    return float(known.max()) if len(known) else None


def _node_count(view: View) -> tuple[Array, Array]:
    _, values = view.record.series.matrix(NODE_UP, {})
    return view.record.series.times, np.isfinite(values).sum(axis=1).astype(float)


def well_from(times: Array, ill: Any) -> float:
    """Time of the first sample after the last bad one; `NEVER` if the last is bad, minus infinity if none is bad."""
    bad = np.flatnonzero(ill)
    if not len(bad):
        return -NEVER
    last = int(bad[-1])
    return float(times[last + 1]) if last + 1 < len(times) else NEVER


def recovered_t(view: View, collapsed_t: float | None) -> float | None:
    """τ from which attempts in the pair succeed and the backlog is gone until the end; `NEVER` if there is none.

    None without a collapse.
    """
    if collapsed_t is None or collapsed_t == NEVER:
        return None
    times, success = view.success_curve(view.pair, SUSTAINED_WINDOW_S)
    _, backlog = view.backlog_curve()
    well = well_from(times, (success < WORKING) | (backlog >= view.backlog_gone))
    return float(collapsed_t) if well == -NEVER else well


def failing(view: View) -> Any:
    """The samples at which fewer than 95 % of the pair's attempts of the preceding 10 s had succeeded."""
    if not view.record.series.knows(ATTEMPTS):
        return None
    return view.success_curve(view.pair, SUSTAINED_WINDOW_S)[1] < WORKING


def blocked(view: View) -> Any:
    """The samples at which storage had blocked more than 5 % of the provisioning attempts of the preceding 10 s."""
    if not view.record.series.knows(TRIES):
        return None
    return view.record.ratio_curve(Of(TRIES, result="blocked"), Of(TRIES), SUSTAINED_WINDOW_S)[1] > BLOCKED_SHARE


def seconds(view: View, holds: Any, until: float = NEVER) -> float | None:
    """Seconds before `until` in which a condition holds, from its samples."""
    if holds is None:
        return None
    times = view.record.series.times
    return float(np.diff(times, append=times[-1:])[holds & (times < until)].sum())
