"""The parts that this process may import, from its environment, which its child processes inherit.

`AFTERSHOCK_PARTS` lists names (`module:Class`), separated by commas; `AFTERSHOCK_PARTS_PATH` is a folder with modules.
A command declares what its user wrote on the command line or in a scenario file. Without this list a caller of the HTTP
API could have a service import any module.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FIELDS = ("part", "kind")
NAMES, FOLDER = "AFTERSHOCK_PARTS", "AFTERSHOCK_PARTS_PATH"


def declared() -> tuple[str, ...]:
    """The names declared so far."""
    return tuple(name for name in os.environ.get(NAMES, "").split(",") if name)


def declare(names: Iterable[str]) -> None:
    """Allows these parts in this process and in the processes that it starts."""
    fresh = [name for name in names if ":" in name]
    os.environ[NAMES] = ",".join(dict.fromkeys([*declared(), *fresh]))


def named_parts(values: Any) -> Iterator[str]:
    """The parts that a document names, as `part` or as the `kind` of a fault."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key in FIELDS and isinstance(value, str):
                yield value
            yield from named_parts(value)
    elif isinstance(values, list):
        for value in values:
            yield from named_parts(value)


def folder() -> Path | None:
    """The folder of the user's modules and overlays, or None."""
    given = os.environ.get(FOLDER)
    return Path(given) if given else None


def declare_folder(path: Path) -> None:
    """Sets the folder, for this process and those that it starts. One that the user has set stays."""
    os.environ.setdefault(FOLDER, str(path.resolve()))
