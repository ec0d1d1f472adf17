"""YAML with line numbers: a file is parsed to plain values and the line of each value.

Values follow the YAML 1.2 core schema, not PyYAML's YAML 1.1, in which `18:03` is the number 1083 and the key `on` is
the boolean true; scenarios use both.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from services.chassis.settings import given_twice

Loc = tuple[str | int, ...]
ScenarioIssue = tuple[Loc, str]
"""An error: its location in the file, and its text."""
NODES_MAX = 20_000
DEPTH_MAX = 40
BYTES_MAX = 2**20
_TAG = "tag:yaml.org,2002:"


class DocumentError(ValueError):
    """The file cannot be read as YAML; the message starts with `file:line:`."""


class _CoreLoader(yaml.SafeLoader):
    """A SafeLoader in which only true, false, null and decimal numbers are not text."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Limits the depth: PyYAML composes recursively, and deep nesting would exceed the recursion limit."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"nested deeper than {DEPTH_MAX} levels", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


DIGITS_MAX = 19
_FORMS = {
    "bool": re.compile(r"true|false"),
    "null": re.compile(r"null|~|"),
    "int": re.compile(r"[-+]?[0-9]+"),
    "float": re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"),
}
_FIRST = {"bool": "tf", "null": "n~", "int": "-+0123456789", "float": "-+.0123456789"}
_READ: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "true",
    "null": lambda _text: None,
    "int": int,
    "float": float,
}
_COLLECTIONS = (f"{_TAG}seq", f"{_TAG}map")
for _kind, _form in _FORMS.items():
    _signs = [*_FIRST[_kind], ""] if _kind == "null" else list(_FIRST[_kind])
    _CoreLoader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"^(?:{_form.pattern})$"), _signs)


@dataclass(frozen=True)
class Document:
    """The values of a file and their lines. `name` is the file name in messages."""

    name: str
    values: Any
    lines: dict[Loc, int]

    def locate(self, loc: Loc, *, missing: bool = False) -> tuple[int, str]:
        """The line and the dotted name of the field at `loc`.

        Parts that are not in the file (internal names of a model) are skipped; with `missing`, the last part is kept,
        because it is the name of the missing field.
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
    """Reads a document from a file.

    Raises:
        DocumentError: the file is missing, not UTF-8, or not a single YAML document.
    """
    return parse(read_text(path), _shown(path))


def _shown(path: Path) -> str:
    return path.name if path.name.isprintable() else repr(path.name)


def read_text(path: Path) -> str:
    """Reads the text of a file that a user names, and no more than a document may have.

    Raises:
        DocumentError: the file is missing, too large, or not UTF-8.
    """
    name = _shown(path)
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DocumentError(f"{name}:{line}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > BYTES_MAX:
        raise DocumentError(f"{name}:1: larger than {BYTES_MAX} bytes")
    return text


def parse(text: str, name: str) -> Document:
    """Parses the document in `text`; `name` is its file name in messages. Raises DocumentError."""
    try:
        node = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DocumentError(f"{name}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{name}:1: not valid YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise DocumentError(f"{name}:1: the file is empty")
    reader = _Reader(name)
    return Document(name, reader.value(node, ()), reader.lines)


@lru_cache(maxsize=8)
def _composed(text: str) -> Any:
    """The nodes of a text, which are not changed. A process reads the same few files again and again."""
    return yaml.compose(text, Loader=_CoreLoader)


class _Reader:
    """Converts the nodes to values, and records the line of every path."""

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
        if node.tag not in _COLLECTIONS:
            raise self._error(node, f"cannot be read as {node.tag.removeprefix(_TAG)}")
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
            key = self._text(key_node)
            if key in values:
                raise self._error(key_node, given_twice(".".join(map(str, (*loc, key)))))
            self.lines[(*loc, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*loc, key))
        return values

    def _scalar(self, node: Any) -> Any:
        """The value of a scalar; one with an explicit tag (`!!int abc`) must have the same form as one without."""
        kind, value = node.tag.removeprefix(_TAG), node.value
        if kind == "str":
            return self._text(node)
        if kind in _FORMS and _FORMS[kind].fullmatch(value) and len(value) <= DIGITS_MAX:
            return _READ[kind](value)
        raise self._error(node, f"cannot be read as {kind}")

    def _text(self, node: Any) -> str:
        """The text of a scalar. Control characters are refused, because texts are shown on terminals."""
        text: str = node.value
        if not all(sign.isprintable() or sign in "\n\t" for sign in text):
            raise self._error(node, f"a control character in {text[:40]!r}")
        return text

    def _error(self, node: Any, text: str) -> DocumentError:
        return DocumentError(f"{self.name}:{node.start_mark.line + 1}: {text}")
