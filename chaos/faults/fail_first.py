"""The first N requests to each instance fail and later ones do not, for tests of retries."""

from pydantic import Field

from chaos.faults.model import FaultParameters, ServiceFault


class FailFirstParameters(FaultParameters):
    count: int = Field(ge=1, le=1_000_000, description="requests of each instance that fail")
    status: int = Field(default=503, ge=400, le=599)


class FailFirst(ServiceFault):
    kind = "fail_first"
    summary = "Fails the first N requests of each instance, then passes all others."
    parameters = FailFirstParameters
