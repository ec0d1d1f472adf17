"""Changes of a scenario for the matrix: a replay of the trigger after its end, or no operator actions.

The replay is not a second incident, which would take as long as the first: users of the pair send five times the base
load for ten seconds (docs/model.md §6). A service that is still vulnerable does not recover from it.
"""

from chaos.scenarios.actions import SetLoad
from chaos.scenarios.model import Entry, Scenario
from chaos.scenarios.without import without_operators
from chaos.studies.needs import wave_t
from chaos.verdict.figures import SUSTAINED_WINDOW_S, WORKING
from chaos.verdict.times import Window
from chaos.verdict.view import View

SURGE_FACTOR, SURGE_S = 5.0, 10.0
CALM_S, WITHIN_S, JUDGED_S = 5.0, 60.0, 15.0
"""Seconds before the surge; from its end to the end of the run; and the last part of that, which is judged."""
AFTER_S = CALM_S + SURGE_S + WITHIN_S
ROW = "REPLAY"

LATE_FROM_S, LATE_TO_S, UNATTENDED_S = 36.0, 106.0, 116.0
"""Seconds after the restore in East; docs/model.md §4 judges single defences at τ = 400–470 (restore at 364)."""


def with_replay(scenario: Scenario) -> Scenario:
    """The scenario with a replay of the trigger after its end; unchanged without the pair."""
    pair = [region.name for region in scenario.regions if region.pair]
    if not pair:
        return scenario
    at = scenario.duration_s + CALM_S
    surges = [_surge(region, at) for region in pair]
    longer = scenario.duration_s + AFTER_S
    return scenario.model_copy(update={"duration_s": longer, "timeline": (*scenario.timeline, *surges)})


def _surge(region: str, at: float) -> Entry:
    action = SetLoad(do="set_load", region=region, factor=SURGE_FACTOR, for_s=SURGE_S)
    entry = Entry(id=f"{ROW}.{region}", at_s=at, **action.model_dump(exclude_none=True))
    entry._t = at
    return entry


def survived(view: View) -> bool | None:
    """Whether the pair was healthy at the end of the scenario, and again within a minute after the surge."""
    whole, end = view.drilled, view.at.end
    last = end + AFTER_S
    before = whole.attempt_success(end - SUSTAINED_WINDOW_S, end)
    after = whole.attempt_success(last - JUDGED_S, last)
    operations = whole.op_success(last - JUDGED_S, last)
    if before is None or after is None or operations is None:
        return None
    return min(before, after, operations) >= WORKING


def unattended(scenario: Scenario) -> Scenario:
    """The scenario without operator actions after the restore in East; it ends about two minutes later."""
    alone = without_operators(scenario)
    restored = wave_t(alone)
    end = alone.duration_s if restored is None else min(restored + UNATTENDED_S, alone.duration_s)
    kept = tuple(entry for entry in alone.timeline if entry.t < end)
    return alone.model_copy(update={"duration_s": end, "timeline": kept})


def late(view: View) -> Window | None:
    """The window in which an unattended run is judged."""
    east = view.at.wave
    return None if east is None else (east + LATE_FROM_S, east + LATE_TO_S)
