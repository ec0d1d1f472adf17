"""A journey: a user signs in, works for a while, and signs in again for a second resource.

settings:
  loadgen:
    own_tenants: [{slug: checkout, load: tokens, share: 0.2, part: "own_journey:TwoSignIns"}]
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from loadgen.site import FAILED, SUCCESS, JourneyOutcome, Site, Steps


class TwoSignIns:
    """Two tokens, with a pause of `work_s` on average between them."""

    def __init__(self, site: Site, work_s: float = 2.0) -> None:
        self._site = site
        self._work_s = work_s

    def setup(self) -> Steps:
        return []

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        return self._travel(self._site.rng.expovariate(1.0 / self._work_s))

    async def _travel(self, work_s: float) -> JourneyOutcome:
        for resource, pause_s in (("https://management.azure.com/", work_s), ("https://storage.azure.com/", 0.0)):
            site = self._site
            result = await site.tools.identity.token(site.tenant, site.region, "", resource)
            if not result.ok:
                return JourneyOutcome(FAILED, "sign_in", result.failure, {"attempts": result.attempts})
            await asyncio.sleep(pause_s)
        return JourneyOutcome(SUCCESS, "sign_in")
