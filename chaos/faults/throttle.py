"""An instance answers 429 with Retry-After to requests above a rate."""

from pydantic import Field

from chaos.faults.model import FaultParameters, ServiceFault


class ThrottleParameters(FaultParameters):
    rate_per_s: float = Field(ge=0, le=1_000_000, description="requests per second that each instance still accepts")


class Throttle(ServiceFault):
    kind = "throttle"
    summary = "Answers 429 with Retry-After to requests above a rate."
    parameters = ThrottleParameters
