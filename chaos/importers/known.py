"""The importers, and which of them a file is for."""

import configparser
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
        values = _values(text, path.name)
        return _reader(values, library)(values)
    except ImportRefused as error:
        raise ImportRefused(str(error) if str(error).startswith(path.name) else f"{path.name}: {error}") from error


def _values(text: str, name: str) -> Any:
    try:
        values = parse(text, name).values  # JSON is YAML
    except DocumentError:
        values = None
    return values if isinstance(values, dict) else _ini(text, name)


def _ini(text: str, name: str) -> dict[str, Any]:
    """The only section of an INI file, as the AWS SDKs have it."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ImportRefused(f"{name}: neither YAML, JSON nor INI") from error
    sections = parser.sections() or ["DEFAULT"]
    if len(sections) > 1:
        raise ImportRefused(f"{name}: has the sections {', '.join(sections)}; keep the one to try")
    return dict(parser[sections[0]])


def _reader(values: Any, library: str | None) -> Callable[[Any], Understood]:
    if library and library not in IMPORTERS:
        raise ImportRefused(f"--as {library}: unknown; known: {', '.join(LIBRARIES)}")
    chosen = [library] if library else [name for name, importer in IMPORTERS.items() if importer.matches(values)]
    if len(chosen) != 1:
        found = f"could be of {' or '.join(chosen)}" if chosen else f"is of none of {', '.join(LIBRARIES)}"
        raise ImportRefused(f"{found}; --as says which")
    read: Callable[[Any], Understood] = IMPORTERS[chosen[0]].read
    return read
