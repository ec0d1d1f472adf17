"""The drill after an incident: the trigger is replayed, to test whether the recovered system is still vulnerable.

It is part of the scenario's timeline (rows `DRILL…`), but not of the incident: claims are judged on the time before it,
except for full recovery (M36).
"""

from chaos.scenarios.model import Scenario
from chaos.scenarios.moments import DRILL_ROW


def without_drill(scenario: Scenario) -> Scenario:
    """The scenario without its drill; unchanged if it has none."""
    begins = [entry.t for entry in scenario.timeline if entry.row == DRILL_ROW]
    if not begins:
        return scenario
    kept = tuple(entry for entry in scenario.timeline if entry.row != DRILL_ROW)
    return scenario.model_copy(update={"duration_s": min(begins), "timeline": kept})
