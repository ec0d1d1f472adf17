"""The interface of all journeys: frozen parameters from the tenant table, and two methods."""

from collections.abc import Coroutine
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from loadgen.site import JourneyOutcome, Steps

Weights = Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]
"""Relative weight of each choice; the sum need not be one."""


class BaseJourneyParameters(BaseModel):
    """Base of a journey's parameters; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @property
    def load_per_arrival(self) -> float:
        """Load units (provisionings or identity operations) per arrival; the arrival rate is divided by it."""
        return 1.0


class Journey(Protocol):
    """One tenant's behaviour in one region. Its constructor gets the `Site`.

    All random numbers are drawn in `start`, in the order of arrivals, so that the cloud's behaviour cannot change them.
    A journey calls the cloud through `site.tools.identity` and `site.arm`, and ends within a day of bench time.
    """

    def setup(self) -> Steps:
        """Provisionings of initial resources, e.g. warm runners. They run one by one and are not counted."""

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        """Starts the journey of one arrival, planned at `planned` (clock seconds). None if it makes no operation."""
