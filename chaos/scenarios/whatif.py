"""What-if changes of operator actions: other values, earlier, later, or never."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from chaos.scenarios.checks import findings
from chaos.scenarios.document import DocumentError, parse
from chaos.scenarios.model import Entry, Scenario
from services.chassis.settings import SettingsError
from services.parts.declared import declare, named_parts

_SHIFT = re.compile(r"^(?P<id>[^=]+)=(?P<minutes>[+-]?[0-9]+(?:\.[0-9]+)?)m$")


def rearrange(scenario: Scenario, shifts: Sequence[str], drops: Sequence[str], changes: Sequence[str] = ()) -> Scenario:
    """The scenario with entries changed (`A5.over_s=1`), moved (`T07=-60m`, incident minutes) and dropped (`T13`).

    A row such as `T08` selects all its entries (`T08`, `T08.northeurope`, …), a full id one entry. A change needs a
    full id; it may go into a mapping (`A1.options.watch_s=12`).

    Raises:
        SettingsError: the text is malformed, names no entry, moves one out of the run, or gives an invalid value.
    """
    for text in changes:
        scenario = _with(scenario, text)
    moved = dict(_shift(text) for text in shifts)
    for name in (*moved, *drops):
        if not any(_means(name, entry) for entry in scenario.timeline):
            known = ", ".join(entry.id for entry in scenario.timeline)
            raise SettingsError(f"timeline: no entry {name!r}; known: {known}")
    kept = [entry for entry in scenario.timeline if not any(_means(name, entry) for name in drops)]
    timeline = tuple(_moved(scenario, entry, moved) for entry in kept)
    return scenario.model_copy(update={"timeline": timeline})


def _shift(text: str) -> tuple[str, float]:
    found = _SHIFT.match(text)
    if not found:
        raise SettingsError(f"--shift {text!r}: should be ID=±MINUTESm, e.g. T07=-60m")
    return found["id"], float(found["minutes"])


def _means(name: str, entry: Entry) -> bool:
    return name in (entry.id, entry.row)


def _moved(scenario: Scenario, entry: Entry, moved: dict[str, float]) -> Entry:
    minutes = sum(value for name, value in moved.items() if _means(name, entry))
    if not minutes:
        return entry
    t = entry.t + minutes
    if not 0 <= t <= scenario.duration_s:
        raise SettingsError(f"timeline.{entry.id}: τ = {t:g} is outside the run (0 to {scenario.duration_s:g})")
    copy = entry.model_copy(update={"at": None, "at_s": t})
    copy._t = t
    return copy


def _with(scenario: Scenario, text: str) -> Scenario:
    """The scenario with one value of one entry changed."""
    path, found, raw = text.partition("=")
    entry = max(
        (one for one in scenario.timeline if path.startswith(f"{one.id}.")), key=lambda one: len(one.id), default=None
    )
    if not found or entry is None:
        known = ", ".join(one.id for one in scenario.timeline)
        raise SettingsError(f"--change {text!r}: should be ENTRY.FIELD=VALUE, e.g. A5.over_s=1; entries: {known}")
    changed = entry.model_copy(update={"action": _action(entry, path, raw)})
    changed._t = entry.t
    timeline = tuple(changed if one is entry else one for one in scenario.timeline)
    scenario = scenario.model_copy(update={"timeline": timeline})
    for issue in findings(scenario):
        raise SettingsError(f"--change {path}: {'.'.join(map(str, issue.loc))}: {issue.text}")
    return scenario


def _action(entry: Entry, path: str, raw: str) -> Any:
    values = entry.action.model_dump(mode="json", by_alias=True, exclude_unset=True)
    *above, last = path.removeprefix(f"{entry.id}.").split(".")
    place: Any = values
    for name in above:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise SettingsError(f"--change {path}: {name} is not a mapping")
    try:
        place[last] = parse(raw, path).values
        declare(named_parts(values))  # the user of a command names it
        return type(entry.action).model_validate(values)
    except DocumentError as error:
        raise SettingsError(f"--change {path}: not a value (got {raw!r})") from error
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        where = ".".join(map(str, finding["loc"])) or last
        raise SettingsError(f"--change {path}: {where}: {finding['msg']}") from error
