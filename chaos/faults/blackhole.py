"""The request is accepted and never answered while the lease runs; callers see their own timeout."""

from chaos.faults.model import ServiceFault


class Blackhole(ServiceFault):
    kind = "blackhole"
    summary = "Accepts the request and never answers it."
