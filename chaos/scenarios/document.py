"""YAML with line numbers: a file becomes plain values plus the line on which each of them stands.

The values follow YAML 1.2's core schema, not PyYAML's YAML 1.1: there `18:03` is the number 1083 and the key `on` is
the boolean true, and a scenario is full of both.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Loc = tuple[str | int, ...]
NODES_MAX = 20_000
_TAG = "tag:yaml.org,2002:"


class DocumentError(ValueError):
    """The file cannot be read as YAML; the text begins with `file:line:`."""


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader that takes only true, false, null and decimal numbers for anything but text."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_CoreLoader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|false)$"), list("tf"))
_CoreLoader.add_implicit_resolver(f"{_TAG}null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_CoreLoader.add_implicit_resolver(f"{_TAG}int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_CoreLoader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class Document:
    """What a file says and where. `name` is how messages call the file."""

    name: str
    values: Any
    lines: dict[Loc, int]

    def locate(self, loc: Loc, *, missing: bool = False) -> tuple[int, str]:
        """The line and the dotted name of the field that `loc` means.

        Parts that are not in the file (a model's inner names) are left out; with `missing`, the last part is kept,
        because it names the field that should have been there.
        """
        here: Loc = ()
        for part in loc[:-1] if missing else loc:
            if (*here, part) in self.lines:
                here = (*here, part)
        named = (*here, loc[-1]) if missing and loc else here
        return self.lines[here], ".".join(map(str, named))

    def message(self, loc: Loc, text: str, *, missing: bool = False) -> str:
        """`file:line: field: text`."""
        line, field = self.locate(loc, missing=missing)
        return f"{self.name}:{line}: {field}: {text}" if field else f"{self.name}:{line}: {text}"


def read(path: Path) -> Document:
    """The document in the file.

    Raises:
        DocumentError: when the file is absent, not UTF-8, or not one YAML document.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path.name}:1: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror}") from error
    return parse(text, path.name)


def parse(text: str, name: str) -> Document:
    """The document in `text`; messages call it `name`."""
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DocumentError(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{name}:1: not valid YAML: {error}") from error
    if node is None:
        raise DocumentError(f"{name}:1: the file is empty")
    reader = _Reader(name)
    return Document(name, reader.value(node, ()), reader.lines)


class _Reader:
    """Walks the nodes once, keeping the line of every path."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Loc, int] = {}
        self._open: list[Any] = []

    def value(self, node: Any, loc: Loc) -> Any:
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if len(self.lines) > NODES_MAX:
            raise self._error(node, f"more than {NODES_MAX} values")
        if any(node is outer for outer in self._open):
            raise self._error(node, "an alias refers to itself")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*loc, number)) for number, item in enumerate(node.value)]
            return self._mapping(node, loc)
        finally:
            self._open.pop()

    def _mapping(self, node: Any, loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be text")
            key = key_node.value
            if key in values:
                raise self._error(key_node, f"{'.'.join(map(str, (*loc, key)))}: given twice")
            self.lines[(*loc, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*loc, key))
        return values

    def _scalar(self, node: Any) -> Any:
        match node.tag.removeprefix(_TAG):
            case "str":
                return node.value
            case "bool":
                return node.value == "true"
            case "null":
                return None
            case "int" if len(node.value) < 20:
                return int(node.value)
            case "float":
                return float(node.value)
        raise self._error(node, f"cannot be read as {node.tag.removeprefix(_TAG)}")

    def _error(self, node: Any, text: str) -> DocumentError:
        return DocumentError(f"{self.name}:{node.start_mark.line + 1}: {text}")
