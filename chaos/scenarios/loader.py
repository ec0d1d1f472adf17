"""From a name or a path to a checked scenario; every complaint names file, line and field.

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
from services.chassis.settings import SHOWN_MAX, Settings, section
from services.policies.settings import CONTRADICTION

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")
FINDINGS_MAX = 20
Models = Mapping[str, type[Settings]]


class ScenarioError(ValueError):
    """A scenario is unknown, unreadable or wrong. One line a finding."""


def names() -> tuple[str, ...]:
    """The scenarios that come with the program, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load(path_or_name: str | Path, *, models: Models | None = None) -> Scenario:
    """The scenario of that name, or in that file.

    Args:
        path_or_name: a known name, or anything with a folder or a `.yaml` in it.
        models: settings models by section; with them the `settings` of the file are checked too.

    Raises:
        ScenarioError: saying in which file, line and field, and what is wrong.
    """
    try:
        document = read(_find(path_or_name))
    except DocumentError as error:
        raise ScenarioError(str(error)) from error
    return build(document, models=models)


def loads(text: str, name: str = "scenario.yaml", *, models: Models | None = None) -> Scenario:
    """The scenario in `text`; messages call it `name`."""
    try:
        document = parse(text, name)
    except DocumentError as error:
        raise ScenarioError(str(error)) from error
    return build(document, models=models)


def _find(path_or_name: str | Path) -> Path:
    given = Path(path_or_name)
    if given.suffix in SUFFIXES or len(given.parts) > 1:
        if not given.is_file():
            raise ScenarioError(f"no scenario file {str(given)!r}")
        return given
    if str(path_or_name) not in names():
        raise ScenarioError(f"unknown scenario {str(path_or_name)!r}; known: {', '.join(names())}")
    return FOLDER / f"{path_or_name}.yaml"


def build(document: Document, *, models: Models | None = None) -> Scenario:
    """The scenario that a document describes."""
    try:
        scenario = Scenario.model_validate(document.values)
    except ValidationError as error:
        raise ScenarioError(_joined(document, _explain(document, error))) from error
    found = [document.message(finding.loc, finding.text) for finding in findings(scenario)]
    found += _settings_findings(document, scenario, models or {})
    if found:
        raise ScenarioError(_joined(document, found))
    return scenario


def _joined(document: Document, messages: Iterable[str]) -> str:
    """In the order of the file's lines; the file's name may have colons of its own."""
    after = len(document.name) + 1
    listed = sorted(messages, key=lambda message: int(message[after:].split(":")[0]))
    more = [f"{document.name}:1: and {len(listed) - FINDINGS_MAX} more findings"] if len(listed) > FINDINGS_MAX else []
    return "\n".join([*listed[:FINDINGS_MAX], *more])


def _settings_findings(document: Document, scenario: Scenario, models: Models) -> list[str]:
    """What each service would object to at its start, found before anything starts."""
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
    for finding in error.errors(include_url=False):
        loc, missing = finding["loc"], finding["type"] == "missing"
        text = _text(finding)
        if finding["type"] == CONTRADICTION:
            loc = (*loc, finding["ctx"]["field"])
        if finding["type"].startswith("union_tag"):
            loc, missing = (*loc, "do"), finding["type"] == "union_tag_not_found"
        prefix = max(prefixes or ((),), key=lambda prefix: _depth(document, prefix, loc))
        yield document.message((*prefix, *loc), text, missing=missing)


def _depth(document: Document, prefix: Loc, loc: Loc) -> tuple[int, int]:
    """How much of `loc` stands in the file below `prefix`, and how much of the prefix itself."""
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
