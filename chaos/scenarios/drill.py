"""The drill after an incident: the trigger comes once more, to see whether recovery left anything to tip.

It is part of a scenario's timeline like all else (rows `DRILL…`), but no part of the incident: claims are judged on
what came before it, and only full recovery (M36) on what it did.
"""

from chaos.scenarios.model import Scenario

ROW = "DRILL"


def without_drill(scenario: Scenario) -> Scenario:
    """The incident alone; a scenario without a drill is returned as it is."""
    begins = [entry.t for entry in scenario.timeline if entry.row == ROW]
    if not begins:
        return scenario
    kept = tuple(entry for entry in scenario.timeline if entry.row != ROW)
    return scenario.model_copy(update={"duration_s": min(begins), "timeline": kept})
