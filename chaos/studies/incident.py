"""What a scenario needs so that a study can judge its runs; checked before the first run."""

from chaos.scenarios.model import Scenario
from chaos.verdict.verdict import missing_regions
from services.chassis.settings import SettingsError

RESTORE_EAST = "T09"
"""The entry from which facts and waves are timed (`chaos.verdict.view.Anchors`)."""


def require_incident(argument: str, scenario: Scenario) -> Scenario:
    """Checks that the scenario has the regions of the pair and the restore in East US.

    Raises:
        SettingsError: it lacks one of them; without it every run is without a result. The message begins with
            `argument`, the place where the scenario was named.
    """
    missing = missing_regions([region.name for region in scenario.regions])
    if missing:
        raise SettingsError(f"{argument}: regions: facts and waves are of regions that {_lacks(scenario, missing)}")
    acts = {entry.id.partition(".")[0] for entry in scenario.actions}
    if RESTORE_EAST not in acts:
        raise SettingsError(
            f"{argument}: timeline: facts and waves are timed from the entry that restores access in East US, which "
            f"{_lacks(scenario, [RESTORE_EAST])}"
        )
    return scenario


def _lacks(scenario: Scenario, missing: list[str]) -> str:
    return f"{scenario.name} lacks: {', '.join(missing)}"
