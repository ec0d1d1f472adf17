"""Requests are delayed before they are handled."""

from pydantic import Field

from chaos.faults.model import FaultParameters, ServiceFault


class LatencyParameters(FaultParameters):
    delay_s: float = Field(gt=0, le=600, description="added before the handler runs")


class Latency(ServiceFault):
    kind = "latency"
    summary = "Adds a delay before a request is handled."
    parameters = LatencyParameters
