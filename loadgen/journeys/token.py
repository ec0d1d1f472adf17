"""A token-only consumer: it needs a token, for an existing identity or for one that it creates first.

A user with a valid token sends no request and notices no outage, so only new and restarting resources were affected.
Such uses are counted separately (`loadgen_cached_token_uses_total`), not as operations.
"""

from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from pydantic import Field

from loadgen.journeys.base import BaseJourneyParameters
from loadgen.site import FAILED, SUCCESS, JourneyOutcome, Site, Steps
from services.clients.identity.client import CallResult

ACQUIRE, ACQUIRE_NEW = "token", "token_new_identity"


class TokenParameters(BaseJourneyParameters):
    """Shares of arrivals; the rest acquires a token for the tenant's existing identity."""

    kind: Literal["token"]
    resource: Annotated[str, Field(pattern=r"^https://\S+$")]
    """The audience of the token."""
    cached_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of arrivals that use a cached token."""
    new_identity_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of arrivals that create an identity first: two identity operations."""

    @property
    def load_per_arrival(self) -> float:
        return 1.0 - self.cached_share + self.new_identity_share


class TokenJourney:
    """Acquires tokens in one region and keeps the newest."""

    def __init__(self, site: Site, parameters: TokenParameters) -> None:
        self._site = site
        self._parameters = parameters
        self._token_ends_at = 0.0
        """Expiry of the token in epoch seconds; 0 without a token."""

    def setup(self) -> Steps:
        return []

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        draw = self._site.rng.random()
        cached, new = self._parameters.cached_share, self._parameters.new_identity_share
        if draw < cached and self._token_is_good():
            self._site.meter.cached()
            return None
        if cached <= draw < cached + new:
            return self._acquire_for_new(self._site.new_identity("app"))
        return self._acquire("", ACQUIRE)

    def _token_is_good(self) -> bool:
        tools = self._site.tools
        return self._token_ends_at > tools.env.clock.epoch() + tools.settings.token_refresh_margin_s

    async def _acquire_for_new(self, name: str) -> JourneyOutcome:
        site = self._site
        created = await site.tools.identity.put_identity(site.tenant, site.region, name)
        if not created.ok:
            return failed(ACQUIRE_NEW, created, step="identity_create")
        return await self._acquire(str(created.json()["properties"]["clientId"]), ACQUIRE_NEW)

    async def _acquire(self, client_id: str, operation: str) -> JourneyOutcome:
        site = self._site
        result = await site.tools.identity.token(site.tenant, site.region, client_id, self._parameters.resource)
        if not result.ok:
            return failed(operation, result, step="token")
        self._token_ends_at = max(self._token_ends_at, float(result.json()["expires_on"]))
        return JourneyOutcome(SUCCESS, operation)


def failed(operation: str, result: CallResult, **detail: Any) -> JourneyOutcome:
    """The outcome of a failed identity call, with its failure and number of attempts."""
    return JourneyOutcome(
        FAILED, operation, result.failure, {**detail, "attempts": result.attempts, "status": result.status}
    )
