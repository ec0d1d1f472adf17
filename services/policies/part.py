"""Settings of a mechanism that a user can replace by a part of their own."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from services.parts.kind import PartError, PartKind
from services.parts.loading import build
from services.policies.settings import Agreeing, contradiction

PartOptions = dict[str, str | int | float | bool | None]
PartName = Annotated[str, Field(max_length=200)]


class Replaceable(Agreeing):
    """Base of the settings of such a mechanism. With a `part`, the other fields of the mechanism have no effect."""

    KIND: ClassVar[PartKind]
    """The kind of part that it takes."""
    GIVEN: ClassVar[tuple[Any, ...]] = ()
    """Stand-ins of what its owner gives to the constructor, for the check of `options`."""

    part: PartName = ""
    """A part of your own in place of the shipped ones: `module:Class` or the name of an entry point; empty: none."""
    options: PartOptions = {}
    """Arguments of the part's constructor."""

    @model_validator(mode="after")
    def _is_built(self) -> Self:
        if self.part:
            try:
                self.own(*self.GIVEN)
            except PartError as error:
                raise contradiction("part", str(error), self.part) from error
        return self

    def own(self, *given: Any) -> Any:
        """A new instance of the part; None without one."""
        return build(self.KIND, self.part, self.options, *given) if self.part else None
