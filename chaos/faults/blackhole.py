"""The request is accepted and not answered during the lease; callers run into their own timeout."""

from chaos.faults.model import ServiceFault


class Blackhole(ServiceFault):
    kind = "blackhole"
    summary = "Accepts the request and never answers it."
