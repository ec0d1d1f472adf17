"""Reads the fields of a configuration: each is taken once, and whatever is left is refused by its name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.chassis.settings import Tree, given_twice
from services.policies.backoff import Backoff
from services.policies.retry import OWN_ATTEMPTS_MAX

T = TypeVar("T")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?|\.\d+)\s*(?P<unit>ns|us|ms|s|m|h)?")
_CLOCK = re.compile(r"((?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+(\.\d+)?)")
_ISO = re.compile(r"PT((?P<hours>\d+)H)?((?P<minutes>\d+)M)?((?P<seconds>\d+(\.\d+)?)S)?")


class ImportRefused(ValueError):
    """A configuration says something that has no equivalent here; the message names the field and the reason."""


@dataclass(frozen=True)
class Understood:
    """A configuration as settings. `remarks`: what a user should know about how it was read."""

    library: str
    settings: Tree
    remarks: tuple[str, ...] = ()


@dataclass
class Fields:
    """The fields of one mapping. `at` is its path in the file."""

    at: str
    given: Mapping[str, Any]
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a known field is refused."""

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping):
            raise ImportRefused(f"{self.at}: should be a mapping".removeprefix(": "))
        self._left = dict(self.given)

    def take(self, name: str, read: Callable[[Any], T], default: T) -> T:
        """The field `name`, or the default of its library."""
        if name not in self._left:
            return default
        try:
            return read(self._left.pop(name))
        except (ValueError, TypeError, KeyError) as error:
            raise ImportRefused(f"{self.path(name)}: {error}") from error

    def below(self, name: str, reasons: Mapping[str, str] | None = None) -> "Fields | None":
        found = self._left.pop(name, None)
        return None if found is None else Fields(self.path(name), found, reasons or self.reasons)

    def path(self, name: str) -> str:
        return f"{self.at}.{name}" if self.at else name

    @property
    def left(self) -> Mapping[str, Any]:
        """The fields that are not taken yet."""
        return self._left

    def end(self) -> None:
        """Refuses the fields that were not taken."""
        for name in self._left:
            reason = self.reasons.get(name, "unknown field")
            raise ImportRefused(f"{self.path(name)}: {reason}")


def whole(low: int, high: int = OWN_ATTEMPTS_MAX) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdigit():
            raise ValueError(f"should be a whole number (got {value!r})")
        if not low <= int(value) <= high:
            raise ValueError(f"should be from {low} to {high} (got {value})")
        return int(value)

    return read


def number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError(f"should be a number (got {value!r})")
        found = float(value)
        if not low <= found <= high:
            raise ValueError(f"should be from {low:g} to {high:g} (got {value})")
        return found

    return read


def flag(value: Any) -> bool:
    """true or false, also as text, which properties and environment variables are."""
    text = str(value).lower()
    if not isinstance(value, bool | str) or text not in ("true", "false"):
        raise ValueError(f"should be true or false (got {value!r})")
    return text == "true"


def renamed(values: Any, name_of: Callable[[str], str], at: str = "") -> dict[str, Any]:
    """A mapping, and those inside it, with other names for its keys.

    Raises:
        ImportRefused: two keys get the same name.
    """
    if not isinstance(values, Mapping):
        raise ImportRefused(f"{at}: should be a mapping (got {values!r})".removeprefix(": "))
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = name_of(str(key))
        here = f"{at}.{key}" if at else str(key)
        if name in found:
            raise ImportRefused(given_twice(f"{here}: {name}"))
        found[name] = renamed(value, name_of, here) if isinstance(value, Mapping) else value
    return found


NO_ENTRIES: dict[str, Any] = {}
NO_ITEMS: list[Any] = []


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"should be a mapping (got {value!r})")
    return dict(value)


def listing(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"should be a list (got {value!r})")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"should be a text (got {value!r})")
    return value


def duration(unit: str = "") -> Callable[[Any], float]:
    """Seconds from `0.25s`, `250ms`, `00:00:02`, `PT0.5S`, or a bare number in `unit`; without it that is refused."""

    def read(value: Any) -> float:
        written = str(value).strip()
        if isinstance(value, bool):
            raise ValueError(f"should be a duration (got {value!r})")
        found = _DURATION.fullmatch(written)
        if found and (found["unit"] or unit):
            return round(float(found["number"]) * UNITS_S[found["unit"] or unit], 9)
        for form in (_CLOCK, _ISO):
            if (timed := form.fullmatch(written)) and written != "PT":
                parts = {name: float(part or 0) for name, part in timed.groupdict().items()}
                days_s = parts.pop("days", 0.0) * 86_400
                return days_s + parts["hours"] * 3600 + parts["minutes"] * 60 + parts["seconds"]
        raise ValueError(f"should be a duration{' with its unit' if found else ''}, e.g. 0.25s (got {value!r})")

    return read


def one_of(*words: str) -> Callable[[Any], str]:
    """One of these words, in any case."""

    def read(value: Any) -> str:
        for word in words:
            if str(value).lower() == word.lower():
                return word
        raise ValueError(f"should be one of {', '.join(words)} (got {value!r})")

    return read


def single(path: str, entries: Any) -> tuple[str, Any]:
    """The only entry of a mapping.

    Raises:
        ImportRefused: there are none, or several.
    """
    if not isinstance(entries, Mapping) or not entries:
        raise ImportRefused(f"{path}: should be a mapping with one entry")
    if len(entries) > 1:
        raise ImportRefused(f"{path}: has {', '.join(map(str, entries))}; keep the one to try")
    return next(iter(entries.items()))


BACKOFF = f"{Backoff.__module__}:{Backoff.__qualname__}"


def sdk_layer(options: Mapping[str, Any], **more: Any) -> Tree:
    """Settings of callers with this retry layer and no other.

    Raises:
        ImportRefused: a value is none that the layer can have.
    """
    kept = {name: value for name, value in options.items() if value is not None}
    try:
        Backoff(**kept)
    except ValueError as error:
        raise ImportRefused(str(error)) from error
    return {"identity_client": {"sdk": {"part": BACKOFF, "options": kept}, "workflow": {"attempts": 1}, **more}}


def no_retries(**more: Any) -> Tree:
    """Settings of callers that make one attempt."""
    return {"identity_client": {"sdk": {"enabled": False}, "workflow": {"attempts": 1}, **more}}
