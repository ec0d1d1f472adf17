"""Mitigations that are not settings: changes of the timeline and of the initial topology.

The rules are data (mitigations.yaml) and applied without side effects. A scenario without entries of the named rows is
unchanged.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.mitigations.catalogue import chosen
from chaos.mitigations.model import Compress, Follow, Stage, TimelineRules, TopologyChange
from chaos.scenarios.actions import RestoreAccounts
from chaos.scenarios.model import Entry, Scenario
from services.policies.capacity import with_headroom
from services.policies.staging import StagedAccount, plan_restores


def transform(scenario: Scenario, names: Iterable[str]) -> Scenario:
    """The scenario with timeline and topology changed by these mitigations. Not idempotent: apply it once.

    Raises:
        SettingsError: a name is unknown.
    """
    for mitigation in chosen(names):
        if mitigation.timeline is not None:
            scenario = _timeline(scenario, mitigation.timeline)
        if mitigation.topology is not None:
            scenario = _topology(scenario, mitigation.topology)
    return scenario


def _topology(scenario: Scenario, rule: TopologyChange) -> Scenario:
    regions = tuple(
        region.model_copy(update={"identity_nodes": with_headroom(region.identity_nodes, rule.headroom)})
        for region in scenario.regions
    )
    return scenario.model_copy(update={"regions": regions})


def _timeline(scenario: Scenario, rules: TimelineRules) -> Scenario:
    entries, before = list(scenario.timeline), scenario.timeline
    if rules.compress is not None:
        entries = _compress(entries, rules.compress)
    if rules.follow is not None:
        entries = _follow(entries, before, rules.follow)
    if rules.stage is not None:
        entries = [part for entry in entries for part in _stage(entry, rules.stage)]
    return scenario.model_copy(update={"timeline": tuple(entries)})


def _first(entries: Iterable[Entry], row: str) -> float | None:
    return min((entry.t for entry in entries if entry.row == row), default=None)


def _compress(entries: list[Entry], rule: Compress) -> list[Entry]:
    anchor = _first(entries, rule.after)
    if anchor is None:
        return entries
    return [
        entry.moved(anchor + rule.factor * (entry.t - anchor)) if entry.row in rule.rows and entry.t > anchor else entry
        for entry in entries
    ]


def _follow(entries: list[Entry], before: Iterable[Entry], rule: Follow) -> list[Entry]:
    then, now = _first(before, rule.with_), _first(entries, rule.with_)
    if then is None or now is None or then == now:
        return entries
    return [entry.moved(entry.t + now - then) if entry.row in rule.rows else entry for entry in entries]


@dataclass(frozen=True, slots=True)
class _Family:
    """One account family of a restore: glob and load volume."""

    glob: str
    volume: float


def _stage(entry: Entry, rule: Stage) -> list[Entry]:
    """One entry per account family, in the rule's order; other accounts are restored with the last one."""
    action = entry.action
    if entry.row not in rule.rows or not isinstance(action, RestoreAccounts):
        return [entry]
    families = _families(action.accounts, rule)
    if len(families) < 2:
        return [entry]
    accounts = [StagedAccount(family.glob, family.volume) for family in families]
    steps = plan_restores(accounts, entry.t, order=rule.order, spacing_s=rule.spacing_s)
    parts = []
    for number, step in enumerate(steps, 1):
        globs = (step.account.name, *action.accounts) if number == len(steps) else (step.account.name,)
        part = entry.moved(step.at).acting(action.model_copy(update={"accounts": tuple(dict.fromkeys(globs))}))
        parts.append(part.model_copy(update={"id": f"{entry.row}.stage-{number}"}))
    return parts


def _families(globs: Iterable[str], rule: Stage) -> list[_Family]:
    given = tuple(globs)
    names = rule.volumes if "*" in given else [glob for glob in given if glob in rule.volumes]
    return [_Family(name, rule.volumes[name]) for name in names]
