"""Base of the policies' settings: immutable, unknown names are errors.

What a field means is the string below it. Pydantic does not read those (`use_attribute_docstrings`): it would parse the
sources again at every start of a process, a fifteenth of its CPU time.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

CONTRADICTION = "contradiction"
"""Error type of a conflict between two fields; its context has the `field` it is reported for."""

FieldOrder = tuple[str, Literal["<", "<="], str]


def contradiction(field: str, rule: str, given: object) -> PydanticCustomError:
    """An error for two values that are valid alone but exclude each other; reported for `field`, with `rule`."""
    return PydanticCustomError(CONTRADICTION, "{rule} (got {given})", {"field": field, "rule": rule, "given": given})


class Agreeing(BaseModel):
    """A model whose fields bound each other: `ORDER` lists which must be below, or not above, which."""

    ORDER: ClassVar[tuple[FieldOrder, ...]] = ()

    def ordered(self) -> dict[str, Any]:
        """The values to compare; None or absent for a field that does not apply."""
        return {name: getattr(self, name) for order in self.ORDER for name in (order[0], order[2])}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        values = self.ordered() if self.ORDER else {}
        for low, relation, high in self.ORDER:
            one, other = values.get(low), values.get(high)
            if one is None or other is None or (one < other if relation == "<" else one <= other):
                continue
            word = "be below" if relation == "<" else "not be above"
            raise contradiction(low, f"must {word} {high}, which is {other:g}", one)
        return self


class PolicySettings(Agreeing):
    """Plain values in seconds; a service nests these in its own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
