"""Faults with short leases during the kill drill, and whether each was over in time by its effect, not by its listing.

Faults of requests expire in the service that carries them out, so nothing has to end them: the check reads the listing.
Faults of instances (a frozen process, a processor limit, a cut network) are looked for in the engine. A controller that
is down when such a lease ends undoes it when it is back, so then lateness counts from its return.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

from chaos.faults.model import InstanceFault
from chaos.faults.registry import CATALOGUE
from chaos.kills.desk import Desk
from compose.runtime import RuntimeUnavailable

LEASE_S = (2.0, 8.0)
GRACE_S = 1.0
RESTART_S = 10.0
"""What the engine may take on top to start a container: a crash is over when the process runs again.

Added after the first drill of 100 kills, in which three crashes of 46 faults ended 1.8 to 6.4 s after their lease. With
`GRACE_S` alone that drill counts as broken.
"""
LOOK_EVERY_S = 0.2
GIVEN_UP_S = 120.0
INJECT_TIMEOUT_S = 5.0
PARAMETERS: dict[str, dict[str, Any]] = {
    "latency": {"delay_s": 0.2},
    "http_error": {"status": 503},
    "fail_first": {"count": 20},
    "throttle": {"rate_per_s": 5.0},
    "connection_reset": {},
    "blackhole": {},
    "crash": {},
    "freeze": {},
    "cpu_limit": {"cpus": 0.1},
    "partition": {"peer": "redis"},
    "redis_stall": {},
}
"""One example of every kind of the catalogue; all of them are drawn."""


@dataclass
class Injected:
    """One accepted fault. `late_s`: seconds from its due end to the first look that found it gone; None: never gone."""

    id: str
    kind: str
    target: str
    lease_s: float
    late_s: float | None = None

    @property
    def gone_in_time(self) -> bool:
        fault = CATALOGUE[self.kind]
        restarts = isinstance(fault, InstanceFault) and fault.restarts
        return self.late_s is not None and self.late_s <= GRACE_S + RESTART_S * restarts

    def __str__(self) -> str:
        late = "never gone" if self.late_s is None else f"{self.late_s:.1f} s late"
        return f"{self.kind} on {self.target or 'redis'} for {self.lease_s:.1f} s: {late}"


async def inject_random(desk: Desk, draw: Random) -> Injected | None:
    """A random kind on a random instance; None when it was refused (the target is down, or the controller is)."""
    kind = draw.choice(sorted(CATALOGUE))
    names = sorted(spec.name for spec in desk.runtime.instances())
    target = {} if kind == "redis_stall" else {"instance": draw.choice(names)}
    lease_s = draw.uniform(*LEASE_S)
    body = {"kind": kind, "target": target, "parameters": PARAMETERS[kind], "lease_s": lease_s}
    reply = await desk.chaos("POST", "/v1/faults", body, timeout_s=INJECT_TIMEOUT_S)
    if not reply.ok:
        return None
    return Injected(str(reply.json()["id"]), kind, target.get("instance", ""), lease_s)


async def watch_out(desk: Desk, fault: Injected) -> None:
    """Looks from the end of the lease on until the effect is gone."""
    clock = desk.runtime.clock
    await asyncio.sleep(fault.lease_s)  # it began before the answer came, so this is the latest end
    due_s = end_s = clock.now()
    while clock.now() - end_s < GIVEN_UP_S:
        looked_s = clock.now()  # a slow answer does not make a fault longer
        if not await _felt(desk, fault):
            fault.late_s = max(0.0, looked_s - due_s)
            return
        if not await desk.answers():
            due_s = clock.now()
        await asyncio.sleep(LOOK_EVERY_S)


async def _felt(desk: Desk, fault: Injected) -> bool:
    """Whether the fault can still be seen: in the engine for instances, in the listing for requests.

    Without an answer, it may be there.
    """
    if CATALOGUE[fault.kind].level == "service":
        reply = await desk.chaos("GET", "/v1/faults", timeout_s=2.0)
        return not reply.ok or any(one["id"] == fault.id for one in reply.json()["faults"])
    name = fault.target or "redis"
    try:
        containers = await desk.containers()
        victim = next(one for one in containers if one.name == name)
        now = await desk.condition(victim)
    except RuntimeUnavailable:
        return True
    if fault.kind in ("freeze", "redis_stall"):
        return now.paused
    if fault.kind == "cpu_limit":
        return now.cpu_quota > 0
    if fault.kind == "crash":
        return not now.running
    return any(one.partition.startswith(f"{name}>") and fault.id in one.partition for one in containers)
