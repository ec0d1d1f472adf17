"""What-if changes of operator actions: other values, earlier, later, or never."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from chaos.scenarios.checks import findings
from chaos.scenarios.document import DEPTH_MAX, DocumentError, parse
from chaos.scenarios.model import Entry, Scenario
from services.chassis.settings import SettingsError, given_twice, short
from services.parts.declared import declare, named_parts

_SHIFT = re.compile(r"^(?P<id>[^=]+)=(?P<minutes>[+-]?[0-9]+(?:\.[0-9]+)?)m$")


def rearrange(scenario: Scenario, shifts: Sequence[str], drops: Sequence[str], changes: Sequence[str] = ()) -> Scenario:
    """The scenario with entries changed (`A5.over_s=1`), moved (`T07=-60m`, incident minutes) and dropped (`T13`).

    A row such as `T08` selects all its entries (`T08`, `T08.northeurope`, …), a full id one entry. A change needs a
    full id; it may go into a mapping (`A1.options.watch_s=12`).

    Raises:
        SettingsError: the text is malformed, names no entry or one twice, moves one out of the run, or gives an
            invalid value.
    """
    scenario = _with(scenario, changes)
    shifted = [_shift(text) for text in shifts]
    moved = dict(shifted)
    _require_once([*(name for name, _ in shifted), *sorted(set(drops))], "--shift, --drop")
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


def _require_once(names: Sequence[str], options: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise SettingsError(given_twice(f"{options}: {name}"))


def _means(name: str, entry: Entry) -> bool:
    return name in (entry.id, entry.row)


def _moved(scenario: Scenario, entry: Entry, moved: dict[str, float]) -> Entry:
    minutes = sum(value for name, value in moved.items() if _means(name, entry))
    if not minutes:
        return entry
    t = entry.t + minutes
    if not 0 <= t <= scenario.duration_s:
        raise SettingsError(f"timeline.{entry.id}: τ = {t:g} is outside the run (0 to {scenario.duration_s:g})")
    return entry.moved(t)


def _with(scenario: Scenario, changes: Sequence[str]) -> Scenario:
    """The scenario with values of entries changed; those of one entry together."""
    _require_once([text.partition("=")[0] for text in changes], "--change")
    by_entry: dict[str, list[tuple[str, str]]] = {}
    for text in changes:
        path, found, raw = text.partition("=")
        ids = [entry.id for entry in scenario.timeline]
        meant = [id_ for id_ in ids if path.startswith(f"{id_}.")]
        if not found or not meant:
            known = ", ".join(ids)
            raise SettingsError(f"--change {text!r}: should be ENTRY.FIELD=VALUE, e.g. A5.over_s=1; entries: {known}")
        by_entry.setdefault(max(meant, key=len), []).append((path, raw))
    if not changes:
        return scenario
    timeline = tuple(_changed(entry, by_entry.get(entry.id, ())) for entry in scenario.timeline)
    scenario = scenario.model_copy(update={"timeline": timeline})
    for loc, text in findings(scenario):
        raise SettingsError(f"--change {', '.join(changes)}: {'.'.join(map(str, loc))}: {text}")
    return scenario


def _changed(entry: Entry, changes: Sequence[tuple[str, str]]) -> Entry:
    if not changes:
        return entry
    values = entry.action.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for path, raw in changes:
        _put(values, entry.id, path, raw)
    declare(named_parts(values))  # the user of a command names it
    try:
        action = type(entry.action).model_validate(values)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        path = ".".join([entry.id, *map(str, finding["loc"])])
        raise SettingsError(f"--change {path}: {finding['msg'].removeprefix('Value error, ')}") from error
    return entry.acting(action)


def _put(values: dict[str, Any], id_: str, path: str, raw: str) -> None:
    *above, last = path.removeprefix(f"{id_}.").split(".")
    if len(above) >= DEPTH_MAX:
        raise SettingsError(f"--change {short(path)}: nested deeper than {DEPTH_MAX} levels")
    place: Any = values
    for name in above:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise SettingsError(f"--change {path}: {name} is not a mapping")
    try:
        place[last] = parse(raw, path).values
    except DocumentError as error:
        raise SettingsError(f"--change {path}: not a value (got {raw!r})") from error
