"""The settings of a process, from `AFTERSHOCK_<NAME>` variables; a mapping is JSON there."""

import json
import re
from collections.abc import Mapping
from typing import Any

from services.chassis.settings import M, SettingsError, validate

PREFIX = "AFTERSHOCK_"


def variable(name: str) -> str:
    """The variable that holds the setting `name`."""
    return PREFIX + name.upper()


def from_environment(model: type[M], environment: Mapping[str, str]) -> M:
    """`model` from the variables that are set; the others keep their defaults.

    Raises:
        SettingsError: naming the variable, the rule and the value given.
    """
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        raw = environment.get(variable(name))
        if raw is None:
            continue
        try:
            values[name] = json.loads(raw) if str(field.annotation).startswith("dict") else raw
        except ValueError as error:
            raise SettingsError(f"{variable(name)}: not JSON: {error}") from error
    try:
        return validate(model, values, PREFIX)
    except SettingsError as error:
        named = re.sub(rf"{PREFIX}\.(\w+)", lambda found: variable(found[1]), str(error))
        raise SettingsError(named) from error
