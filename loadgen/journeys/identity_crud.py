"""Managed identities as resources: created, updated, deleted through the region's router.

Updates and deletes use the oldest identity that this tenant created; if there is none, they create one instead.
"""

from collections import deque
from collections.abc import Coroutine
from typing import Any, Literal

from loadgen.journeys.base import BaseJourneyParameters, Weights
from loadgen.journeys.token import failed
from loadgen.site import SUCCESS, JourneyOutcome, Site, Steps
from services.clients.identity.client import CallResult

CrudOperation = Literal["identity_create", "identity_update", "identity_delete"]


class IdentityCrudParameters(BaseJourneyParameters):
    kind: Literal["identity_crud"]
    operations: dict[CrudOperation, float] = {"identity_create": 0.4, "identity_update": 0.3, "identity_delete": 0.3}
    """Relative weight of each operation."""


class IdentityCrudJourney:
    """Manages identities in one region."""

    def __init__(self, site: Site, parameters: IdentityCrudParameters) -> None:
        self._site = site
        self._weights: Weights = {str(name): weight for name, weight in parameters.operations.items()}
        self._identities: deque[str] = deque()
        site.tools.leftovers.hold(lambda: (site.leftover("identity", name) for name in self._identities))

    def setup(self) -> Steps:
        return []

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        operation = self._site.choose(self._weights)
        if operation == "identity_create" or not self._identities:
            return self._create(self._site.new_identity("identity"))
        name = self._identities.popleft()
        return self._delete(name) if operation == "identity_delete" else self._update(name)

    async def _create(self, name: str) -> JourneyOutcome:
        result = await self._put(name)
        if not result.ok:
            return failed("identity_create", result)
        self._keep(name)
        return JourneyOutcome(SUCCESS, "identity_create")

    async def _update(self, name: str) -> JourneyOutcome:
        result = await self._put(name)
        self._keep(name)
        return JourneyOutcome(SUCCESS, "identity_update") if result.ok else failed("identity_update", result)

    async def _delete(self, name: str) -> JourneyOutcome:
        site = self._site
        result = await site.tools.identity.delete_identity(site.tenant, site.region, name)
        if not result.ok:
            self._keep(name)
            return failed("identity_delete", result)
        return JourneyOutcome(SUCCESS, "identity_delete")

    def _keep(self, name: str) -> None:
        """Keeps an identity for a later update or delete; beyond the limit the oldest is left to the leftovers."""
        self._identities.append(name)
        while len(self._identities) > self._site.tools.settings.identities_max:
            self._identities.popleft()

    async def _put(self, name: str) -> CallResult:
        site = self._site
        return await site.tools.identity.put_identity(site.tenant, site.region, name)
