"""The mitigations that come with the testbed, and the settings tree that a choice of them lays over a scenario's."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from chaos.mitigations.model import IDS, Catalogue, Mitigation
from services.chassis.settings import SettingsError, Tree, explain, merge

LEFT_OUT = {"timeline": "its changes to the timeline", "topology": "its additional nodes"}
FILE = Path(__file__).with_name("mitigations.yaml")


def load(path: Path = FILE) -> Catalogue:
    """The catalogue in `path`.

    Raises:
        SettingsError: naming the file, the entry, the field and the rule.
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
    """The one that ships, read once."""
    return load()


def catalogue() -> list[dict[str, Any]]:
    """What can be switched, as plain rows: for listings."""
    return [
        {
            "id": mitigation.id,
            "title": mitigation.title,
            "source": mitigation.source,
            "attacks": list(mitigation.attacks),
            "changes": mitigation.changes,
            "kinds": list(mitigation.kinds),
            "switchable": bool(mitigation.overlay),
            "overlay": mitigation.overlay,
        }
        for mitigation in default_catalogue().mitigations
    ]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Ids and bundles as ids, each once, in the order of the catalogue.

    Raises:
        SettingsError: naming what is unknown, and what is known.
    """
    bundles = default_catalogue().bundles
    chosen: set[str] = set()
    for name in names:
        if name in bundles:
            chosen.update(bundles[name].of)
        elif name in IDS:
            chosen.add(name)
        else:
            raise SettingsError(f"mitigation {name!r}: unknown; known: {', '.join((*IDS, *bundles))}")
    return tuple(id_ for id_ in IDS if id_ in chosen)


def bundle_name(mitigations: Iterable[str]) -> str:
    """The bundle that is just these, or their ids."""
    ids = tuple(mitigations)
    known = (name for name in default_catalogue().bundles if expand([name]) == ids)
    return next(known, "+".join(ids))


def chosen(names: Iterable[str]) -> tuple[Mitigation, ...]:
    """The mitigations of that name."""
    return tuple(default_catalogue().get(id_) for id_ in expand(names))


def mitigation_overlay(names: Iterable[str], regions: Sequence[str] | None = None) -> Tree:
    """The settings of these mitigations, as one tree; parts for regions not among `regions` are left out.

    Raises:
        SettingsError: naming what is unknown.
    """
    tree: Tree = {}
    for mitigation in chosen(names):
        tree = merge(tree, mitigation.overlay)
    if regions is not None and "regions" in tree:
        tree["regions"] = {name: below for name, below in tree["regions"].items() if name in regions}
    return tree


def run_time_overlay(names: Iterable[str]) -> Tree:
    """The settings of these mitigations, for a testbed on which none was on from the start.

    Raises:
        SettingsError: naming what is unknown, or cannot be switched while services run.
    """
    names = expand(names)
    require_switchable(names)
    return mitigation_overlay(names)


def require_switchable(names: Iterable[str]) -> None:
    """Raises SettingsError for one that has no settings: a timeline has begun, and nodes exist or not."""
    for mitigation in chosen(names):
        if not mitigation.overlay:
            parts = " and ".join(LEFT_OUT[kind] for kind in mitigation.kinds)
            raise SettingsError(
                f"mitigation {mitigation.id}: cannot be switched while services run; {parts} can only be there from "
                f"the start (--with {mitigation.id})"
            )


def left_out(names: Iterable[str]) -> list[str]:
    """Which parts of these mitigations a switch at run time leaves as they are."""
    return [
        f"{mitigation.id}: {LEFT_OUT[kind]}"
        for mitigation in chosen(names)
        for kind in mitigation.kinds
        if kind in LEFT_OUT
    ]
