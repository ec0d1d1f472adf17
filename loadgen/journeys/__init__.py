"""The journeys of users, one file each. A tenant selects its journey by `kind` and gives its parameters.

A new journey is a file with a parameters model and a class with `setup` and `start`, and one row in `JOURNEYS`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from loadgen.journeys.base import BaseJourneyParameters, Journey
from loadgen.journeys.dependent_job import DependentJobJourney, DependentJobParameters
from loadgen.journeys.extension import ExtensionJourney, ExtensionParameters
from loadgen.journeys.identity_crud import IdentityCrudJourney, IdentityCrudParameters
from loadgen.journeys.own import OwnJourneyParameters, own_journey
from loadgen.journeys.pipeline import PipelineJourney, PipelineParameters
from loadgen.journeys.provision import ProvisionJourney, ProvisionParameters
from loadgen.journeys.runner_job import RunnerJobJourney, RunnerJobParameters
from loadgen.journeys.token import TokenJourney, TokenParameters
from loadgen.site import Site

JOURNEYS: Mapping[str, Callable[[Site, Any], Journey]] = {
    "provision": ProvisionJourney,
    "pipeline": PipelineJourney,
    "runner_job": RunnerJobJourney,
    "dependent_job": DependentJobJourney,
    "extension": ExtensionJourney,
    "token": TokenJourney,
    "identity_crud": IdentityCrudJourney,
    "own": own_journey,
}

JourneyParameters = Annotated[
    ProvisionParameters
    | PipelineParameters
    | RunnerJobParameters
    | DependentJobParameters
    | ExtensionParameters
    | TokenParameters
    | IdentityCrudParameters
    | OwnJourneyParameters,
    Field(discriminator="kind"),
]

__all__ = ["JOURNEYS", "BaseJourneyParameters", "Journey", "JourneyParameters"]
