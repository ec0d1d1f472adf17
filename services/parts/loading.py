"""From the name of a part to its class, and from the class to an instance."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from services.parts.declared import declared, folder
from services.parts.kind import KINDS, PartError, PartKind

SHIPPED = "services.policies."
"""Classes that ship with Aftershock are parts too, and need no declaration."""
_NAME = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<part>[A-Za-z_]\w*)")


def find(kind: PartKind, name: str) -> type:
    """The class called `name`: `module:Class`, or an entry point of the kind's group.

    Raises:
        PartError: it is not declared, cannot be imported, or lacks members of the kind's protocol.
    """
    target = _target(kind, name)
    _look_beside()
    with users_code(f"{name}: cannot be imported"):
        found = _attribute(name, *target.split(":"))
        if not isinstance(found, type):
            raise PartError(f"{name}: is not a class")
        missing = kind.missing(found)
    if missing:
        raise PartError(f"{name}: is no {kind.name}: has no {', '.join(missing)}")
    return found


def build(kind: PartKind, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """An instance of the part `name`: `Class(*given, **options)`.

    Raises:
        PartError: as `find`, or the constructor refuses the options.
    """
    found = find(kind, name)
    with users_code(f"{name}: cannot be built with {dict(options)}"):
        made = found(*given, **options)
        unset = kind.unset(made)
    if unset:
        raise PartError(f"{name}: is no {kind.name}: has no {', '.join(unset)}")
    return made


@contextmanager
def users_code(doing: str) -> Iterator[None]:
    """Code of a user's module inside: it may raise anything, end the process, or print.

    `SystemExit` would give this command the exit code of the module's choice. What it prints goes to standard error, so
    that a command that prints JSON prints nothing else.

    Raises:
        PartError: it raised; `doing` and the error are in the message.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except PartError:
        raise
    except (Exception, SystemExit) as error:
        raise PartError(f"{doing}: {type(error).__name__}: {error}") from error


def installed(kind: PartKind) -> dict[str, str]:
    """The parts of installed packages by the name of their entry point."""
    return {one.name: one.value for one in _entries(kind.group)}


def part_modules() -> tuple[str, ...]:
    """The top-level modules of all declared and installed parts."""
    targets = (*declared(), *(target for kind in KINDS.values() for target in installed(kind).values()))
    return tuple(sorted({target.partition(":")[0].partition(".")[0] for target in targets}))


@lru_cache(maxsize=32)
def _entries(group: str) -> tuple[EntryPoint, ...]:
    """Read once: this looks into every installed package."""
    return tuple(entry_points(group=group))


def part_sources() -> list[Path]:
    """The files of the user's own parts: results that were computed with other contents are stale."""
    found: set[Path] = set()
    for name in part_modules():
        _look_beside()
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:  # no name of a module, or the running script
            continue
        if spec is not None and spec.origin is not None and not name.startswith("services"):
            origin = Path(spec.origin)
            found.update(origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin])
    return sorted(found)


def _target(kind: PartKind, name: str) -> str:
    """The `module:Class` of a name."""
    by_name = installed(kind)
    if name in by_name:
        return by_name[name]
    if not _NAME.fullmatch(name):
        known = ", ".join(sorted(by_name)) or "none"
        raise PartError(f"{name}: should be module:Class, or an installed {kind.name}: {known}")
    shipped = name.startswith(SHIPPED)
    if not shipped and name not in declared() and name not in by_name.values():
        raise PartError(f"{name}: not declared to this process; list it in AFTERSHOCK_PARTS before the start")
    return name


def _attribute(name: str, module: str, attribute: str) -> Any:
    found: Any = importlib.import_module(module)
    try:
        return getattr(found, attribute)
    except AttributeError:
        raise PartError(f"{name}: {module} has no {attribute}") from None


def _look_beside() -> None:
    for path in _folders():
        if path not in sys.path:  # last, so that a file beside a scenario shadows no module
            sys.path.append(path)


def _folders() -> Iterator[str]:
    """The folder of the scenario, then the working directory."""
    path = folder()
    if path is not None:
        yield str(path)
    yield str(Path.cwd())
