"""Files of an export: written beside their name and renamed when complete, so that a file there is a whole one."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaos.record.files import named


class MissingExtra(RuntimeError):
    """An optional package is not installed; the message names the extra that has it."""


def optional(module: str, extra: str, purpose: str) -> Any:
    """Imports a module that only one extra of Aftershock installs.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise MissingExtra(f"{purpose} needs {package}: pip install 'aftershock[{extra}]'") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives the path to write to, and renames it to `path` at the end; removes it after an error.

    Raises:
        OSError: with the name of the file.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with named(path):
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
