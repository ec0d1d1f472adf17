"""Removes kinds of actions from the timeline of a scenario."""

from chaos.scenarios.actions import Drain, Open, Ramp, ScaleIdentity
from chaos.scenarios.model import Scenario


def without(scenario: Scenario, *kinds: type) -> Scenario:
    """The scenario without its entries of these kinds of actions."""
    kept = tuple(entry for entry in scenario.timeline if not isinstance(entry.action, kinds))
    return scenario.model_copy(update={"timeline": kept})


def without_operators(scenario: Scenario) -> Scenario:
    """The scenario without scale-outs, drains, ramps and opens."""
    return without(scenario, ScaleIdentity, Drain, Ramp, Open)


def without_drain(scenario: Scenario) -> Scenario:
    """The scenario without drain, ramp and open; nodes are still added."""
    return without(scenario, Drain, Ramp, Open)
