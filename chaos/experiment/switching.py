"""Switching mitigations on and off during a run.

Only mitigations made of settings can be switched; the timeline and the initial nodes are fixed. A mitigation that is on
from the start is part of the run's settings tree, so switching it off cannot remove an overlay: the overlay then sets
each field to its value without the mitigation.
"""

from collections.abc import Iterable
from typing import Any

from chaos.experiment.plan import Plan, settings_models
from chaos.mitigations.catalogue import expand, mitigation_overlay, require_switchable
from services.chassis.settings import SettingPath, Tree, leaves, merge, resolve, setting_at


class Switchboard:
    """The mitigations that are on in one run; initially those of its plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._regions = plan.topology.names
        self._touched: set[str] = set(plan.mitigations)
        self.on = expand(plan.mitigations)

    def switch(self, on: Iterable[str], off: Iterable[str]) -> Tree:
        """Switches mitigations; returns the overlay for the running services.

        Raises:
            SettingsError: a mitigation is unknown or cannot be switched (named in the message); nothing is switched.
        """
        on, off = expand(on), expand(off)
        require_switchable((*on, *off))
        self.on = expand((set(self.on) - set(off)) | set(on))
        self._touched.update(self.on)
        return self._overlay()

    def tree(self) -> Tree:
        """The current settings tree of the run."""
        plan = self._plan
        return merge(plan.base, mitigation_overlay(self.on, self._regions, plan.scenario.size), plan.overrides)

    def _overlay(self) -> Tree:
        tree, overlay = self.tree(), Tree()
        for path, _value in sorted(leaves(mitigation_overlay(self._touched, self._regions, self._plan.scenario.size))):
            overlay = merge(overlay, setting_at(path, _effective(tree, path)))
        return overlay

    def __repr__(self) -> str:
        return f"<Switchboard {', '.join(self.on) or 'nothing'} on>"


def _effective(tree: Tree, path: SettingPath) -> Any:
    """The value of a field in the tree, or its default."""
    region, (section, *fields) = (path[1], path[2:]) if path[0] == "regions" else ("", path)
    value: Any = resolve(settings_models()[section], tree, section, region).model_dump(mode="json")
    for name in fields:
        value = value[name]
    return value


def relaid(overlay: Tree, before: Tree, after: Tree, base: Tree) -> Tree:
    """Replaces `before` by `after` in an overlay.

    Other fields stay; fields only in `before` get their value in `base`.
    """
    kept, below = {path for path, _ in leaves(after)}, dict(leaves(base))
    for path, _ in leaves(before):
        if path not in kept:
            overlay = merge(overlay, setting_at(path, below[path])) if path in below else _without(overlay, path)
    return merge(overlay, after)


def _without(tree: Tree, path: SettingPath) -> Tree:
    name, *rest = path
    others = {key: value for key, value in tree.items() if key != name}
    inner = _without(tree.get(name, {}), tuple(rest)) if rest else {}
    return {**others, name: inner} if inner else others
