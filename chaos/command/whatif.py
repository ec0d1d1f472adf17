"""What-if changes of operator actions: earlier, later, or never."""

import re
from collections.abc import Sequence

from chaos.scenarios.model import Entry, Scenario
from services.chassis.settings import SettingsError

_SHIFT = re.compile(r"^(?P<id>[^=]+)=(?P<minutes>[+-]?[0-9]+(?:\.[0-9]+)?)m$")


def rearrange(scenario: Scenario, shifts: Sequence[str], drops: Sequence[str]) -> Scenario:
    """The scenario with entries moved (`T07=-60m`, incident minutes) and dropped (`T13`).

    A row such as `T08` selects all its entries (`T08`, `T08.northeurope`, …), a full id one entry.

    Raises:
        SettingsError: the text is malformed, names no entry, or moves one out of the run.
    """
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
