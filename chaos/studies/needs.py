"""What a study needs of a scenario so that it can judge its runs; checked before the first run."""

from chaos.scenarios.model import Scenario
from chaos.verdict.claim_set import ClaimSet, claim_set
from services.chassis.settings import SettingsError


def require_expectations(argument: str, scenario: Scenario) -> None:
    """Checks that there is something to count.

    Raises:
        SettingsError: the scenario expects nothing. The message begins with `argument`, the place where it was named.
    """
    if not scenario.expect:
        raise SettingsError(f"{argument}: expect: a campaign counts what holds, and {scenario.name} expects nothing")


def require_wave(argument: str, scenario: Scenario) -> None:
    """Checks that there is an action from which waves are timed.

    Raises:
        SettingsError: there is none; without it every run is without a result.
    """
    if wave_t(scenario) is None:
        lacks = f"waves are timed from {wave_name(scenario)}, which {scenario.name} lacks"
        raise SettingsError(f"{argument}: timeline: {lacks}")


def wave_name(scenario: Scenario) -> str:
    """The action from which waves are timed, in words."""
    return f"the entry {claim_set(scenario.claims).wave}" if scenario.claims else "the first action"


def wave_t(scenario: Scenario) -> float | None:
    """τ of the action from which waves are timed: that of the claim set, or the first; None if it is missing."""
    row = claim_set(scenario.claims).wave if scenario.claims else ""
    return min((entry.t for entry in scenario.actions if row in ("", entry.row)), default=None)


def sides(scenario: Scenario) -> tuple[str, str]:
    """The names of the two regions that studies show one by one, as `View.sides` has them; a dash: there is none."""
    shown = scenario.displays
    paired = [region.name for region in scenario.regions if region.pair]
    names = claim_set(scenario.claims).regions if scenario.claims else (paired or list(shown))
    first, second = (*(shown[name] for name in names[:2] if name in shown), "–", "–")[:2]
    return first, second


def with_controls(scenario: Scenario) -> ClaimSet | None:
    """The claim set whose controls are runs of this scenario; None if it has none."""
    claims = claim_set(scenario.claims) if scenario.claims else None
    return claims if claims is not None and claims.acts_on(scenario) else None
