"""An extension on an existing server: Arc-enabled servers and PostgreSQL servers install their agents.

Each installation uses one server. If it is abandoned, the server is used again; after success the server is replaced,
so that a few are always available.
"""

from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from pydantic import Field

from loadgen.journeys.base import BaseJourneyParameters
from loadgen.machines import Extension, Machine, Machines, outcome
from loadgen.site import JourneyOutcome, Site, Steps
from services.clients.arm import WAITING

INSTALL = "install_extension"


class ExtensionParameters(BaseJourneyParameters):
    kind: Literal["extension"]
    extension: Extension
    patience_mean_s: Annotated[float, Field(gt=0)] | None = None
    """Default: the setting of the same name."""


class ExtensionJourney:
    """One kind of server in one region."""

    def __init__(self, site: Site, parameters: ExtensionParameters) -> None:
        self._site = site
        self._parameters = parameters
        self._servers = Machines(site, "vm", "")

    def setup(self) -> Steps:
        return [self._add_server] * self._site.tools.settings.ready_machines

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        deadline = planned + self._site.patience(self._parameters.patience_mean_s)
        return self._install(self._servers.take(), deadline)

    async def _install(self, server: Machine | None, deadline: float) -> JourneyOutcome:
        if server is None:
            server = self._servers.new()
            prepared = await self._servers.create(server, deadline)
            if not prepared.ok:
                return outcome(prepared, INSTALL)
        ended = await self._servers.install(server, self._parameters.extension, deadline)
        if ended.status == WAITING:
            self._servers.keep(server)
        else:
            self._site.tools.spawn(self._add_server())
        return outcome(ended, INSTALL)

    async def _add_server(self) -> None:
        server = self._servers.new()
        ended = await self._servers.create(server, self._site.tools.now + self._site.tools.settings.patience_mean_s)
        if ended.ok:
            self._servers.keep(server)
