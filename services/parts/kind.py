"""The kinds of parts. A kind is defined beside its protocol, in the module of the mechanism that it replaces."""

from dataclasses import dataclass
from types import FunctionType

KINDS: dict[str, "PartKind"] = {}
"""Every kind by name, in the order of definition."""


class PartError(ValueError):
    """A part cannot be found, is not of its kind, or did what its kind must not do; the message names it."""


@dataclass(frozen=True)
class PartKind:
    """One kind of part. Defining it registers it."""

    name: str
    """Its name in `--policy` and `check-part`."""
    protocol: type
    """What a class of this kind must have; its docstring is the contract."""

    def __post_init__(self) -> None:
        KINDS[self.name] = self

    @property
    def group(self) -> str:
        """The group of its entry points."""
        return f"aftershock.{self.name}"

    def members(self, kind: type) -> list[str]:
        """The members of the protocol that are of this Python kind: functions or properties."""
        own = [name for name, value in vars(self.protocol).items() if isinstance(value, kind)]
        return [name for name in own if name == "__len__" or name[0] != "_"]

    def missing(self, candidate: type) -> list[str]:
        """The methods of the protocol that a class does not have."""
        return [name for name in self.members(FunctionType) if not hasattr(candidate, name)]

    def unset(self, instance: object) -> list[str]:
        """The attributes of the protocol that an instance does not have."""
        return [name for name in self.members(property) if not hasattr(instance, name)]
