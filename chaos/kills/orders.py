"""A client that orders virtual machines all the time and keeps what was promised to it.

Accepted is what was answered with a URL to poll; each of these must lead to an end.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.record.files import NotWhole
from compose.docker import DockerRuntime
from loadgen.machines import EXTENSION_TAG, TENANT_TAG
from services.chassis.store import text
from services.clients.identity.client import SUBSCRIPTION
from services.provisioner.state import CANCELED, FAILED, OPERATION, SUCCEEDED

ORDER_TIMEOUT_S, POLL_TIMEOUT_S = 3.0, 5.0
TERMINAL = frozenset({SUCCEEDED, FAILED, CANCELED})
MACHINE: Mapping[str, Any] = {
    "tags": {TENANT_TAG: "kill-drill", EXTENSION_TAG: "GitHub.Actions/LargerRunner"},
    "identity": {"type": "SystemAssigned"},
    "properties": {"hardwareProfile": {"vmSize": "Standard_D2s_v5"}},
}


class Orders:
    """`accepted` maps each ordered machine to the URL that tells how it went."""

    def __init__(self, runtime: DockerRuntime, group: str, regions: Sequence[str], every_s: float) -> None:
        self._runtime = runtime
        self._group = group
        self._regions = regions
        self._every_s = every_s
        self.accepted: dict[str, str] = {}

    async def order_for_ever(self) -> None:
        """One order every `every_s`, region by region, until cancelled."""
        number = 0
        while True:
            await self._order(f"{self._group}-{number}", self._regions[number % len(self._regions)])
            number += 1
            await asyncio.sleep(self._every_s)

    async def _order(self, machine: str, region: str) -> None:
        path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self._group}/providers/Microsoft.Compute/virtualMachines"
        url = f"{self._provisioner(region)}{path}/{machine}?api-version=2024-07-01"
        body = {**MACHINE, "location": region}
        reply = await self._runtime.http.call("PUT", url, json=body, timeout_s=ORDER_TIMEOUT_S)
        if reply.ok:
            self.accepted[machine] = reply.headers["Azure-AsyncOperation"]

    def _provisioner(self, region: str) -> str:
        name = f"provisioner-{region}"
        return next(target.url for target in self._runtime.targets() if target.spec.name == name)

    async def open(self) -> dict[str, str]:
        """The accepted orders that have not come to an end, with what was said about them last."""
        accepted = dict(self.accepted)
        call = self._runtime.http.call
        replies = await asyncio.gather(*(call("GET", url, timeout_s=POLL_TIMEOUT_S) for url in accepted.values()))
        said = {
            machine: reply.json()["status"] if reply.ok else f"{reply.failure or reply.status}"
            for machine, reply in zip(accepted, replies, strict=True)
        }
        return {machine: status for machine, status in said.items() if status not in TERMINAL}


async def operations(runtime: DockerRuntime) -> dict[str, str]:
    """Status of every operation that a provisioner has in the store, by id: what users and the load were promised.

    Raises:
        redis.exceptions.RedisError, OSError: when the store does not answer.
        NotWhole: one cannot be read, so its end cannot be judged; the message names key, field and rule.
    """
    regions = sorted({spec.region for spec in runtime.instances() if spec.service == "provisioner"})
    found: dict[str, str] = {}
    for region in regions:
        key = f"compute:{region}:operations"
        for field, raw in (await runtime.store.hgetall(key)).items():
            try:
                found[text(field)] = OPERATION.read(raw).status
            except ValueError as error:
                raise NotWhole(f"{key}: {text(field)}: not an operation: {error}") from error
    return found
