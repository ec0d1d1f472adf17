"""What every journey has in common: frozen parameters from the tenant table, and two calls."""

from collections.abc import Coroutine
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from loadgen.site import JourneyOutcome, Steps

Weights = Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]
"""Odds of each choice; they need not add up to one."""


class BaseJourneyParameters(BaseModel):
    """Base of a journey's parameters; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @property
    def load_per_arrival(self) -> float:
        """Units of load (provisionings, or identity operations) that one arrival makes; divides its rate."""
        return 1.0


class Journey(Protocol):
    """One tenant's behaviour in one region.

    Everything random is drawn in `start`, in the order of arrivals: what the cloud does later cannot move a draw.
    """

    def setup(self) -> Steps:
        """Provisionings that exist before the load starts, e.g. warm runners. Run one by one, not counted."""

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        """One arrival, intended at `planned` (clock seconds). None when it is over at once and is no operation."""
