"""The importers, and which of them a file is for."""

import configparser
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from chaos.importers import aws, envoy, grpc, polly, resilience4j, tenacity_code
from chaos.importers.reading import ImportRefused, Understood
from chaos.scenarios.document import DocumentError, parse, read_text

IMPORTERS: dict[str, ModuleType] = {
    "envoy": envoy,
    "grpc": grpc,
    "aws": aws,
    "resilience4j": resilience4j,
    "polly": polly,
}
TENACITY = "tenacity"
LIBRARIES = (*IMPORTERS, TENACITY)
_HEAD = re.compile(r"^\s*\[", re.MULTILINE)
_EXPORT = re.compile(r"^\s*export\s+", re.MULTILINE)


def understand(path: Path, library: str | None = None) -> Understood:
    """The settings of the configuration in a file; `library` chooses the importer, which is otherwise found.

    Raises:
        ImportRefused: the file cannot be read, fits no importer, or has a field without an equivalent.
    """
    try:
        text = read_text(path)
    except DocumentError as error:
        raise ImportRefused(str(error)) from error
    try:
        if library == TENACITY or (library is None and path.suffix == ".py"):
            return tenacity_code.read(text, path.name)
        values = values_in(text, path.name)
        return _reader(values, library)(values)
    except ImportRefused as error:
        raise ImportRefused(str(error) if str(error).startswith(path.name) else f"{path.name}: {error}") from error


def values_in(text: str, name: str) -> Any:
    """The values of a file: a mapping."""
    try:
        values = parse(text, name).values  # JSON is YAML
    except DocumentError as error:
        return _ini(text, name, str(error).removeprefix(f"{name}:"))
    return values if isinstance(values, dict) else _ini(text, name, "")


def _ini(text: str, name: str, not_yaml: str) -> dict[str, Any]:
    """The only section of an INI file, as the AWS SDKs have it, or `NAME=value` lines: properties, an environment."""
    headed = bool(_HEAD.search(text))
    parser = configparser.RawConfigParser(default_section="", delimiters=("=", ":") if headed else ("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text if headed else f"[{name}]\n{_EXPORT.sub('', text)}")
    except configparser.Error as error:
        why = not_yaml if not_yaml and "=" not in text else str(error).splitlines()[0]
        raise ImportRefused(f"{name}: neither YAML, JSON nor INI: {why}") from error
    sections = parser.sections()
    if len(sections) != 1:
        raise ImportRefused(f"{name}: has the sections {', '.join(sections)}; keep the one to try")
    values = dict(parser[sections[0]])
    return values if headed else {key: _unquoted(value) for key, value in values.items()}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _reader(values: Any, library: str | None) -> Callable[[Any], Understood]:
    if library and library not in IMPORTERS:
        raise ImportRefused(f"--as {library}: unknown; known: {', '.join(LIBRARIES)}")
    chosen = [library] if library else [name for name, importer in IMPORTERS.items() if importer.matches(values)]
    if len(chosen) != 1:
        found = f"could be of {' or '.join(chosen)}" if chosen else f"is of none of {', '.join(LIBRARIES)}"
        raise ImportRefused(f"{found}; --as says which")
    read: Callable[[Any], Understood] = IMPORTERS[chosen[0]].read
    return read
