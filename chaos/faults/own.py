"""A user's fault as a kind of the catalogue: a service-level fault whose effect the services take from the part."""

from functools import lru_cache
from typing import Any

from pydantic import model_validator

from chaos.faults.model import FaultParameters, ServiceFault
from services.chassis.faults import FAULT
from services.parts.loading import build


class OwnFaultParameters(FaultParameters):
    """Whatever the part's constructor takes."""

    model_config = FaultParameters.model_config | {"extra": "allow"}


@lru_cache(maxsize=64)
def own_fault(name: str) -> ServiceFault:
    """The kind for the part `name`, whose parameters are checked by building it."""

    class Parameters(OwnFaultParameters):
        @model_validator(mode="before")
        @classmethod
        def _builds(cls, given: Any) -> Any:
            build(FAULT, name, given)  # a PartError is a ValueError, which pydantic reports
            return given

    class OwnServiceFault(ServiceFault):
        kind = name
        summary = "A fault of the user's own."
        parameters = Parameters

    return OwnServiceFault()
