"""Requests are answered with a given HTTP error, in the error format of the service."""

from pydantic import Field

from chaos.faults.model import FaultParameters, ServiceFault


class HttpErrorParameters(FaultParameters):
    status: int = Field(ge=400, le=599)
    code: str = Field(default="InjectedFault", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="the error code")
    retry_after_s: float | None = Field(default=None, gt=0, le=3600, description="sent as Retry-After, rounded up")


class HttpError(ServiceFault):
    kind = "http_error"
    summary = "Answers with an HTTP error instead of handling the request."
    parameters = HttpErrorParameters
