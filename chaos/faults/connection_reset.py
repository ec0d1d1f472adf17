"""The connection is closed without an answer."""

from chaos.faults.model import ServiceFault


class ConnectionReset(ServiceFault):
    kind = "connection_reset"
    summary = "Closes the connection instead of answering."
