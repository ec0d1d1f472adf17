"""Restricts a scenario to a subset of its regions, with their load and actions."""

from collections.abc import Sequence
from typing import Any

from chaos.scenarios.fault_checks import fault_findings
from chaos.scenarios.model import Entry, Scenario
from services.chassis.settings import Tree


def restrict(scenario: Scenario, regions: Sequence[str]) -> Scenario:
    """The scenario with only `regions`. Actions without a remaining region are dropped, pairs outside are removed."""
    kept = tuple(
        region.model_copy(update={"pair": region.pair if region.pair in regions else None})
        for region in scenario.regions
        if region.name in regions
    )
    remediation = scenario.remediation
    order = tuple(name for name in remediation.order if name in regions)
    smaller = scenario.model_copy(
        update={
            "regions": kept,
            "load": {name: load for name, load in scenario.load.items() if name in regions},
            "settings": _settings(scenario.settings, regions),
            "remediation": remediation.model_copy(update={"order": order}),
            "timeline": tuple(entry for entry in (_entry(entry, regions) for entry in scenario.timeline) if entry),
        }
    )
    return _without_lost_faults(smaller)


def _without_lost_faults(scenario: Scenario) -> Scenario:
    """Drops faults without a remaining target, and then the entries that end them."""
    while lost := {loc[1] for loc, _ in fault_findings(scenario)}:
        kept = tuple(entry for number, entry in enumerate(scenario.timeline) if number not in lost)
        scenario = scenario.model_copy(update={"timeline": kept})
    return scenario


def _settings(tree: dict[str, Any], regions: Sequence[str]) -> Tree:
    regional = {name: value for name, value in tree.get("regions", {}).items() if name in regions}
    return {**tree, "regions": regional} if "regions" in tree else dict(tree)


def _entry(entry: Entry, regions: Sequence[str]) -> Entry | None:
    action = entry.action
    changes: dict[str, Any] = {}
    if hasattr(action, "regions"):
        changes["regions"] = tuple(name for name in action.regions if name in regions)
    if hasattr(action, "nodes"):
        changes["nodes"] = {name: count for name, count in action.nodes.items() if name in regions}
    if getattr(action, "region", regions[0]) not in regions or any(not value for value in changes.values()):
        return None
    return entry.acting(action.model_copy(update=changes)) if changes else entry
