"""The settings of a process, from `AFTERSHOCK_<NAME>` variables; a mapping is JSON there."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator
from redis.asyncio.connection import parse_url
from yarl import URL

from services.chassis.bodies import json_value
from services.chassis.settings import M, SettingsError, Tree, check_shape, validate

PREFIX = "AFTERSHOCK_"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]*")


def variable(name: str) -> str:
    """The variable that holds the setting `name`."""
    return PREFIX + name.upper()


def from_environment(model: type[M], environment: Mapping[str, str]) -> M:
    """`model` from the variables that are set; the others keep their defaults.

    A field without `repr` is a secret, which travels in a header: its value is not in the message.

    Raises:
        SettingsError: naming the variable, the rule and the value given.
    """
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        raw = environment.get(variable(name))
        if raw is None:
            continue
        if not field.repr and not _HEADER_VALUE.fullmatch(raw):
            raise SettingsError(f"{variable(name)}: should be printable ASCII without spaces")
        try:
            values[name] = json_value(raw) if str(field.annotation).startswith("dict") else raw
        except ValueError as error:
            raise SettingsError(f"{variable(name)}: not JSON: {error}") from error
    try:
        return validate(model, values, PREFIX)
    except SettingsError as error:
        named = re.sub(rf"{PREFIX}\.(\w+)", lambda found: variable(found[1]), str(error))
        raise SettingsError(named) from error


def _http(text: str) -> str:
    try:
        url = URL(text)
        good = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        good = False
    if text and not good:
        raise ValueError("should be http://HOST[:PORT][/PATH], or https")
    return text


def _redis(text: str) -> str:
    try:
        parse_url(text)
    except ValueError as error:
        raise ValueError(f"should be redis://HOST:PORT/NUMBER: {error}") from error
    return text


def _pattern(text: str) -> str:
    try:
        named = text.format(name="blobstore-eastus")
    except (ValueError, LookupError, AttributeError) as error:
        raise ValueError("should be a URL with {name} in it") from error
    if named == text or not _http(named):
        raise ValueError("should be a URL with {name} in it")
    return text


def _shaped(tree: Tree) -> Tree:
    check_shape(tree)
    return tree


HttpAddress = Annotated[str, AfterValidator(_http)]
"""The URL of an HTTP server; empty: none."""
RedisAddress = Annotated[str, AfterValidator(_redis)]
AddressPattern = Annotated[str, AfterValidator(_pattern)]
SettingsTree = Annotated[Tree, AfterValidator(_shaped)]
