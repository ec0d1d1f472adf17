"""The catalogue of mitigations, and the settings overlay of a selection of them."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from chaos.mitigations.model import IDS, Catalogue, Mitigation, OwnOverlay
from chaos.scenarios.document import DocumentError, read
from chaos.scenarios.size import sized_settings
from services.chassis.settings import SettingsError, Tree, explain, merge, validate
from services.parts.declared import declare, folder, named_parts

LEFT_OUT = {"timeline": "its changes to the timeline", "topology": "its additional nodes"}
OVERLAY_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
FILE = Path(__file__).with_name("mitigations.yaml")


def load(path: Path = FILE) -> Catalogue:
    """Loads the catalogue from `path`.

    Raises:
        SettingsError: it is invalid; the message names file, entry, field and rule.
    """
    try:
        return Catalogue.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SettingsError(f"{path.name}: {explain(error)}") from error


@lru_cache(maxsize=1)
def default_catalogue() -> Catalogue:
    """The built-in catalogue, cached."""
    return load()


def catalogue() -> list[dict[str, Any]]:
    """The mitigations as plain rows, for listings."""
    return [
        {
            **one.model_dump(mode="json", exclude={"timeline", "topology"}),
            "kinds": list(one.kinds),
            "switchable": bool(one.overlay),
        }
        for one in default_catalogue().mitigations
    ]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Expands ids and bundles to ids, without duplicates, in catalogue order; the user's own overlays last, by name.

    Raises:
        SettingsError: a name is unknown; the message lists the known names.
    """
    bundles = default_catalogue().bundles
    chosen: set[str] = set()
    for name in names:
        if name in bundles:
            chosen.update(bundles[name].of)
        elif name in IDS or overlay_file(name) is not None:
            chosen.add(name)
        else:
            raise SettingsError(f"mitigation {name!r}: unknown; known: {', '.join((*IDS, *bundles))}")
    return (*(id_ for id_ in IDS if id_ in chosen), *sorted(chosen - set(IDS)))


def overlay_file(name: str) -> Path | None:
    """The file `<name>.yaml` beside the scenario, if there is one."""
    beside = folder()
    if beside is None or not OVERLAY_NAME.fullmatch(name):
        return None
    path = beside / f"{name}.yaml"
    return path if path.is_file() else None


def named(id_: str) -> Mitigation:
    """The mitigation of an id, or the user's own overlay of that name.

    Raises:
        SettingsError: the overlay file is missing or invalid; the message names file, field and rule.
    """
    if id_ in IDS:
        return default_catalogue().get(id_)
    path = overlay_file(id_)
    if path is None:
        raise SettingsError(f"mitigation {id_!r}: no file {id_}.yaml beside the scenario")
    try:
        document = read(path)
    except DocumentError as error:
        raise SettingsError(str(error)) from error
    declare(named_parts(document.values))
    return validate(OwnOverlay, document.values, path.name).mitigation(id_, path.name)


def bundle_name(mitigations: Iterable[str]) -> str:
    """The name of the bundle with exactly these mitigations, or their ids joined by `+`."""
    ids = tuple(mitigations)
    known = (name for name in default_catalogue().bundles if expand([name]) == ids)
    return next(known, "+".join(ids))


def chosen(names: Iterable[str]) -> tuple[Mitigation, ...]:
    """The mitigations of these ids and bundles."""
    return tuple(named(id_) for id_ in expand(names))


def mitigation_overlay(names: Iterable[str], regions: Sequence[str] | None = None, size: float = 1.0) -> Tree:
    """The settings of these mitigations at a size, as one tree, without parts for regions that are not in `regions`.

    Raises:
        SettingsError: a name is unknown.
    """
    tree = merge({}, *(mitigation.overlay for mitigation in chosen(names)))
    if regions is not None and "regions" in tree:
        tree["regions"] = {name: below for name, below in tree["regions"].items() if name in regions}
    return sized_settings(tree, size)


def run_time_overlay(names: Iterable[str], size: float = 1.0) -> Tree:
    """The settings of these mitigations for a running testbed of a size, without mitigations from the start.

    Raises:
        SettingsError: a name is unknown, or the mitigation cannot be switched while services run.
    """
    names = expand(names)
    require_switchable(names)
    return mitigation_overlay(names, size=size)


def require_switchable(names: Iterable[str]) -> None:
    """Raises SettingsError for a mitigation without settings: timeline and initial nodes are fixed at the start."""
    for mitigation in chosen(names):
        if not mitigation.overlay:
            parts = " and ".join(LEFT_OUT[kind] for kind in mitigation.kinds)
            raise SettingsError(
                f"mitigation {mitigation.id}: cannot be switched while services run; {parts} can only be enabled from "
                f"the start (--with {mitigation.id})"
            )


def left_out(names: Iterable[str]) -> list[str]:
    """The parts of these mitigations that a switch at run time does not apply."""
    return [
        f"{mitigation.id}: {LEFT_OUT[kind]}"
        for mitigation in chosen(names)
        for kind in mitigation.kinds
        if kind in LEFT_OUT
    ]
