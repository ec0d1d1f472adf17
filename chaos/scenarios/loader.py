"""Loads a scenario by name or path and checks it; every error names file, line and field.

azure-fnj8-vqz.yaml:41: timeline.3.at: should be 'HH:MM' on the first day, … (got '25:00')
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chaos.scenarios.actions import ACTIONS
from chaos.scenarios.checks import findings
from chaos.scenarios.document import Document, DocumentError, Loc, parse, read
from chaos.scenarios.model import Scenario
from chaos.scenarios.size import size_issues, sized
from services.chassis.settings import SHOWN_MAX, Settings, complaints, section
from services.parts.declared import declare, declare_folder, named_parts
from services.policies.settings import CONTRADICTION

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")
FINDINGS_MAX = 20
Models = Mapping[str, type[Settings]]


class ScenarioError(ValueError):
    """A scenario is unknown, unreadable or invalid. The message has one line per error."""


def names() -> tuple[str, ...]:
    """The names of the built-in scenarios, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load(path_or_name: str | Path, *, size: float | None = None, models: Models | None = None) -> Scenario:
    """Loads a built-in scenario or a scenario file.

    Args:
        path_or_name: a known name, or a path (with a folder or the suffix `.yaml`).
        size: instead of the size in the file.
        models: settings models by section; if given, the `settings` of the file are checked too.

    Raises:
        ScenarioError: the scenario is invalid; the message names file, line and field.
    """
    path = beside(path_or_name)
    try:
        document = read(path)
    except DocumentError as error:
        raise ScenarioError(str(error)) from error
    if path.parent != FOLDER:
        declare(named_parts(document.values))
    return build(document, size=size, models=models)


def loads(
    text: str, name: str = "scenario.yaml", *, size: float | None = None, models: Models | None = None
) -> Scenario:
    """Loads the scenario in `text`; `name` is its file name in messages. Raises ScenarioError."""
    try:
        document = parse(text, name)
    except DocumentError as error:
        raise ScenarioError(str(error)) from error
    return build(document, size=size, models=models)


def beside(path_or_name: str | Path) -> Path:
    """The file of a scenario. Its folder, if it is not a shipped one, is where parts and overlays are looked for.

    Raises:
        ScenarioError: there is none.
    """
    path = _find(path_or_name)
    if path.parent != FOLDER:
        declare_folder(path.parent)
    return path


def _find(path_or_name: str | Path) -> Path:
    given = Path(path_or_name)
    if given.suffix in SUFFIXES or len(given.parts) > 1:
        if not given.is_file():
            raise ScenarioError(f"no scenario file {str(given)!r}")
        return given
    if str(path_or_name) not in names():
        raise ScenarioError(f"unknown scenario {str(path_or_name)!r}; known: {', '.join(names())}")
    return FOLDER / f"{path_or_name}.yaml"


def build(document: Document, *, size: float | None = None, models: Models | None = None) -> Scenario:
    """The scenario of a document at its size or the given one. Raises ScenarioError."""
    try:
        scenario = Scenario.model_validate(document.values)
    except ValidationError as error:
        raise ScenarioError(_joined(document, _explain(document, error))) from error
    found = [document.message(loc, text) for loc, text in findings(scenario)]
    found += _settings_findings(document, scenario, models or {})
    wanted = scenario.size if size is None else size
    if not found:
        found = [document.message(loc, text) for loc, text in size_issues(scenario, wanted)]
    if found:
        raise ScenarioError(_joined(document, found))
    return sized(scenario, wanted)


def _joined(document: Document, messages: Iterable[str]) -> str:
    """The messages sorted by line; the file name may contain colons."""
    after = len(document.name) + 1
    listed = sorted(messages, key=lambda message: int(message[after:].split(":")[0]))
    more = [f"{document.name}:1: and {len(listed) - FINDINGS_MAX} more findings"] if len(listed) > FINDINGS_MAX else []
    return "\n".join([*listed[:FINDINGS_MAX], *more])


def _settings_findings(document: Document, scenario: Scenario, models: Models) -> list[str]:
    """The settings errors that the services would report at their start."""
    found: dict[str, None] = {}
    tree = scenario.settings
    for name, model in models.items():
        for region in ("", *(region.name for region in scenario.regions)):
            try:
                model.model_validate(section(tree, name, region))
            except ValidationError as error:
                regional: Loc = ("settings", "regions", region, name)
                found.update(dict.fromkeys(_explain(document, error, regional, ("settings", name))))
    return list(found)


def _explain(document: Document, error: ValidationError, *prefixes: Loc) -> Iterable[str]:
    for finding in complaints(error):
        loc, missing = finding["loc"], finding["type"] == "missing"
        text = _text(finding)
        if finding["type"] == CONTRADICTION:
            loc = (*loc, finding["ctx"]["field"])
        if finding["type"].startswith("union_tag"):
            loc, missing = (*loc, "do"), finding["type"] == "union_tag_not_found"
        prefix = max(prefixes or ((),), key=lambda prefix: _depth(document, prefix, loc))
        yield document.message((*prefix, *loc), text, missing=missing)


def _depth(document: Document, prefix: Loc, loc: Loc) -> tuple[int, int]:
    """How many parts of `loc` exist in the file below `prefix`, and how many of the prefix."""
    below = sum((*prefix, *loc[:length]) in document.lines for length in range(1, len(loc) + 1))
    return below, sum(prefix[:length] in document.lines for length in range(1, len(prefix) + 1))


def _text(finding: Mapping[str, Any]) -> str:
    known = ", ".join(str(action.model_fields["do"].annotation.__args__[0]) for action in ACTIONS)  # type: ignore[union-attr]
    match finding["type"]:
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "is required"
        case "union_tag_invalid":
            return f"unknown action {finding['ctx']['tag']!r}; known: {known}"
        case "union_tag_not_found":
            return f"is required; one of {known}"
        case "value_error":
            text = str(finding["msg"]).removeprefix("Value error, ")
        case _:
            text = str(finding["msg"])
    given = finding["input"]
    if isinstance(given, str | int | float | bool | None):
        shown = repr(given)
        return f"{text} (got {shown if len(shown) <= SHOWN_MAX else shown[:SHOWN_MAX] + '…'})"
    return text
