"""A journey of the user's own, selected by a tenant of their own."""

from typing import Annotated, Literal

from pydantic import Field

from loadgen.journeys.base import BaseJourneyParameters, Journey
from loadgen.site import Site
from services.parts.kind import PartKind
from services.parts.loading import build

JOURNEY = PartKind("journey", Journey)


class OwnJourneyParameters(BaseJourneyParameters):
    """The part, and the arguments that its constructor gets after the site."""

    kind: Literal["own"]
    part: Annotated[str, Field(min_length=1, max_length=200)]
    options: dict[str, str | int | float | bool | None] = {}


def own_journey(site: Site, parameters: OwnJourneyParameters) -> Journey:
    """A new instance of the part, for one region."""
    journey: Journey = build(JOURNEY, parameters.part, parameters.options, site)
    return journey
