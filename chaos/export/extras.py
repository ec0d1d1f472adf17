"""Packages that only an export needs."""

import importlib
from typing import Any


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
