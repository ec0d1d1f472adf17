"""Typed settings, resolved from one tree for the whole testbed.

Precedence, later wins: the model's defaults ← `tree[service]` ← `tree["regions"][region][service]` ←
`tree["instances"][name][service]`. The same tree is what `--set identity.queue_length=30` writes, what a mitigation
overlays, and what `plan.json` records.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from services.policies.settings import CONTRADICTION, Agreeing

Tree = dict[str, Any]
SettingPath = tuple[str, ...]
SHOWN_MAX = 200


class Settings(Agreeing):
    """Base of every settings model: immutable; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


M = TypeVar("M", bound=BaseModel)


class SettingsError(ValueError):
    """A setting is unknown or invalid; the text names the field, the rule and the value."""


def merge(base: Mapping[str, Any], *overlays: Mapping[str, Any]) -> Tree:
    """A new tree: `base` with each overlay merged over it in turn, recursively. Lists are replaced, not joined."""
    merged: Tree = dict(base)
    for overlay in overlays:
        for key, value in overlay.items():
            below = merged.get(key)
            merged[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def setting_at(path: SettingPath, value: Any) -> Tree:
    """The tree with this value only."""
    for part in reversed(path):
        value = {part: value}
    tree: Tree = value
    return tree


def leaves(tree: Mapping[str, Any], above: SettingPath = ()) -> Iterator[tuple[SettingPath, Any]]:
    """All fields of a settings tree as (path, value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def check_shape(tree: Mapping[str, Any]) -> None:
    """Checks that every section (service, region, instance) is a mapping.

    Raises:
        SettingsError: names the path that is not.
    """
    for name, value in tree.items():
        _require_mapping(value, name)
        if name not in ("regions", "instances"):
            continue
        for owner, services in value.items():
            _require_mapping(services, f"{name}.{owner}")
            for service, values in services.items():
                _require_mapping(values, f"{name}.{owner}.{service}")


def _require_mapping(value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{path}: must be a mapping of settings (got {value!r})")


def section(tree: Mapping[str, Any], service: str, region: str, instance: str = "") -> Tree:
    """The unvalidated values that apply to `service` in `region`, or to one named instance of it."""
    regional = tree.get("regions", {}).get(region, {}).get(service, {})
    own = tree.get("instances", {}).get(instance, {}).get(service, {})
    return merge(tree.get(service, {}), regional, own)


def resolve(model: type[M], tree: Mapping[str, Any], service: str, region: str, instance: str = "") -> M:
    """The validated settings of one instance.

    Raises:
        SettingsError: names the field (`identity.workers`), the rule and the given value.
    """
    return validate(model, section(tree, service, region, instance), service)


def check_regions(model: type[M], tree: Mapping[str, Any], service: str, regions: Iterable[str]) -> None:
    """Validates the settings of all instances of `service` in `regions`, as they would at start.

    Raises:
        SettingsError: the first error.
    """
    for region in ("", *regions):
        resolve(model, tree, service, region)


def validate(model: type[M], values: Mapping[str, Any], prefix: str) -> M:
    """Builds `model` from `values`.

    Raises:
        SettingsError: pydantic's errors as readable lines.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(explain(error, prefix)) from error


def complaints(error: ValidationError) -> Iterator[ErrorDetails]:
    """Pydantic's errors, except that a list is too short because its items are wrong: they are reported themselves."""
    found = error.errors(include_url=False)
    for one in found:
        inside = (other for other in found if len(other["loc"]) > len(one["loc"]))
        if one["type"] != "too_short" or all(other["loc"][: len(one["loc"])] != one["loc"] for other in inside):
            yield one


def explain(error: ValidationError, prefix: str = "") -> str:
    """One line per error: `identity.workers: Input should be greater than 0 (got -1)`."""
    lines = []
    for finding in complaints(error):
        path = ".".join([prefix, *map(str, finding["loc"])] if prefix else map(str, finding["loc"]))
        if finding["type"] == CONTRADICTION:
            lines.append(f"{path}.{finding['ctx']['field']}: {finding['msg']}")
            continue
        if finding["type"] == "missing":
            lines.append(f"{path}: {finding['msg']}")  # the input is all the others, secrets among them
            continue
        rule = "unknown setting" if finding["type"] == "extra_forbidden" else finding["msg"]
        lines.append(f"{path}: {rule} (got {short(finding['input'])})")
    return "; ".join(lines)


def given_twice(name: str) -> str:
    """The error for a second value of one thing: one of the two would be lost."""
    return f"{name}: given twice"


def short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"
