"""The axes of a map: two settings by dotted path or shorthand, with the values to measure.

    load                       share of the capacity at size 1, four nodes (40 requests per second); open loop
    retries                    maximum attempts per operation, over both retry layers: 1 to 4, 8 or 12
    stall=3,6                  the stall itself, instead of a search for the shortest one
    nodes=2,4,8                identity nodes
    with=none,R1,R6            mitigations
    retry=none,mine:MyRetry    a part of the user's own in that slot (`chaos.experiment.slots`)
    identity.queue_length=8,60 any setting

Values are kept as typed, so that the command that repeats a point is the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaos.experiment.plan import parse_assignment
from chaos.experiment.slots import SLOTS
from chaos.mitigations import expand
from compose.topology import SMALL
from services.chassis.settings import SettingsError, Tree, given_twice

REGION = SMALL.names[0]
CAPACITY_PER_S = 40.0
"""Capacity at size 1 in requests per second: four nodes with two workers each, 0.2 s per request."""
SDK_ATTEMPTS = 4
LOAD_MIN, LOAD_MAX = 0.05, 2.0
NODES_MAX = 50
STALL_MIN_S, STALL_MAX_S = 0.1, 60.0
NONE = "none"


@dataclass(frozen=True)
class AxisEffect:
    """The effect of an axis value on the run."""

    overlay: Tree = field(default_factory=dict)
    mitigations: tuple[str, ...] = ()
    nodes: int | None = None
    stall_s: float | None = None


@dataclass(frozen=True)
class Axis:
    """A setting with its values, as typed."""

    name: str
    values: tuple[str, ...]

    @property
    def label(self) -> str:
        return _SHORTHANDS[self.name].label if self.name in _SHORTHANDS else self.name

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.values)}"


def parse_axis(text: str) -> Axis:
    """Parses `load`, `load=0.2,0.4` or `identity.queue_length=5,60`.

    Raises:
        SettingsError: the axis is invalid; the message names the rule.
    """
    name, given, raw = text.partition("=")
    name = name.strip()
    if given:
        values = tuple(value.strip() for value in raw.split(",") if value.strip())
    elif name in _SHORTHANDS and _SHORTHANDS[name].defaults:
        values = _SHORTHANDS[name].defaults
    else:
        raise SettingsError(f"{name}: needs its values, e.g. {_SHORTHANDS.get(name, _PATH).example}")
    if len(values) < 2:
        raise SettingsError(f"{name}: an axis needs at least two values (got {raw!r}); for one point use --at")
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise SettingsError(given_twice(f"{name}: {', '.join(twice)}"))
    for value in values:
        effect(name, value)
    return Axis(name, values)


def parse_at(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Parses one point: `load=0.4`, `retries=12`.

    Raises:
        SettingsError: a setting is invalid; the message names the rule.
    """
    found = []
    for text in texts:
        name, given, value = (part.strip() for part in text.partition("="))
        if not given or not value:
            raise SettingsError(f"--at {text!r}: should be NAME=VALUE, e.g. load=0.4")
        effect(name, value)
        found.append((name, value))
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(given_twice(name))
    return tuple(found)


def effect(name: str, value: str, size: float = 1.0) -> AxisEffect:
    """The effect of `name=value` at a size.

    Raises:
        SettingsError: the name is neither a path nor a shorthand, or the value is invalid.
    """
    if name in _SHORTHANDS:
        return _load(value, size) if name == "load" else _SHORTHANDS[name].effect(value)
    if name in SLOTS:
        return AxisEffect() if value == NONE else AxisEffect(parse_assignment(f"{SLOTS[name]}={value}"))
    if "." not in name:
        raise SettingsError(f"{name}: unknown; give section.field, or one of {', '.join((*_SHORTHANDS, *SLOTS))}")
    return AxisEffect(parse_assignment(f"{name}={value}"))


def number(name: str, text: str, low: float, high: float) -> float:
    """Parses a number within bounds.

    Raises:
        SettingsError: it is not a number within the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingsError(f"{name}: should be a number from {low:g} to {high:g} (got {text!r})")
    return value


def _load(text: str, size: float = 1.0) -> AxisEffect:
    rate = number("load", text, LOAD_MIN, LOAD_MAX) * CAPACITY_PER_S * size
    return AxisEffect({"loadgen": {"regions": {REGION: {"token_rate_per_s": rate}}}})


def _retries(text: str) -> AxisEffect:
    """Up to four attempts are made by the SDK layer; eight and twelve are two and three rounds of it."""
    rounds, attempts = 1, int(number("retries", text, 1, 12))
    if attempts > SDK_ATTEMPTS:
        rounds, attempts = attempts // SDK_ATTEMPTS, SDK_ATTEMPTS
    if float(text) != rounds * attempts:
        raise SettingsError(f"retries: should be 1, 2, 3, 4, 8 or 12: whole rounds of four attempts (got {text!r})")
    return AxisEffect({"identity_client": {"sdk": {"attempts": attempts}, "workflow": {"attempts": rounds}}})


def _nodes(text: str) -> AxisEffect:
    value = number("nodes", text, 1, NODES_MAX)
    if value != int(value):
        raise SettingsError(f"nodes: should be a whole number (got {text!r})")
    return AxisEffect(nodes=int(value))


def _stall(text: str) -> AxisEffect:
    return AxisEffect(stall_s=number("stall", text, STALL_MIN_S, STALL_MAX_S))


def _with(text: str) -> AxisEffect:
    return AxisEffect() if text == NONE else AxisEffect(mitigations=expand(text.split("+")))


@dataclass(frozen=True)
class _Shorthand:
    label: str
    example: str
    defaults: tuple[str, ...]
    effect: Callable[[str], AxisEffect]


_PATH = _Shorthand("", "identity.queue_length=5,15,30,60", (), lambda _text: AxisEffect())
_SHORTHANDS = {
    "load": _Shorthand("load, share of capacity", "load=0.2,0.4", ("0.2", "0.3", "0.4", "0.5", "0.6"), _load),
    "retries": _Shorthand("most attempts of an operation", "retries=1,12", ("1", "2", "4", "8", "12"), _retries),
    "stall": _Shorthand("stall, seconds", "stall=1,3", ("0.5", "1.5", "3", "6", "12"), _stall),
    "nodes": _Shorthand("identity nodes", "nodes=4,8", ("3", "4", "6", "8"), _nodes),
    "with": _Shorthand("mitigations", "with=none,R1,R1+R6", (), _with),
}
