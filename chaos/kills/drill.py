"""The kill drill: rounds of random SIGKILLs while the short scenario is under way, then a repair, then the accounts.

A round starts the scenario, kills random containers at random seconds, injects faults with short leases meanwhile, and
ends by killing the controller: a run that ended by itself would take the testbed back to calm, and with the store would
go the operations whose end is asked for. Then the traffic is drained and ramped up as operators did, and whatever was
promised has to be true. Everything random comes from one seed.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random

from redis.exceptions import RedisError

from chaos.kills.desk import CONTROLLER, Condition, Desk
from chaos.kills.faults import Injected, inject_random, watch_out
from chaos.kills.orders import TERMINAL, Orders
from compose.docker_engine import DockerContainer
from compose.runtime import RuntimeUnavailable
from services.chassis.background import Background
from services.chassis.streams import Streams

SCENARIO = "azure-fnj8-vqz-short"
KILLS_A_ROUND = 20
GAP_S = (1.0, 9.0)
"""Between two kills; a container needs 3 to 20 s to be healthy again, so kills overlap."""
FAULT_SHARE = 0.5
HEALED_S = 90.0
ENDED_S = 240.0
POLL_S = 0.5
ORDER_EVERY_S = 2.0
STARTED_S = 180.0
REPAIR_DRAIN_S = 16.0
RAMP = {"mode": "ramp", "from_fraction": 0.1, "to_fraction": 0.7, "over_s": 36, "hold_s": 10}
"""As the operators of the short scenario do it."""
CURED_BY = ("R1", "X5")
"""What is asked is what is lost, not whether a region recovers; without these a ramp may bring the collapse back."""


@dataclass
class Kill:
    """One SIGKILL. `tau_s` is where the scenario was; `healed_s` is None when the container was not healthy in time."""

    round: int
    victim: str
    tau_s: float
    healed_s: float | None = None


@dataclass
class Round:
    """What one round promised and kept."""

    number: int
    kills: list[Kill] = field(default_factory=list)
    faults: list[Injected] = field(default_factory=list)
    operations: int = 0
    orders: int = 0
    run_ended: str = ""
    open: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    @property
    def overdue(self) -> list[str]:
        return [str(fault) for fault in self.faults if not fault.gone_in_time]

    @property
    def violations(self) -> dict[str, list[str]]:
        """What broke each promise; a promise that was kept has an empty list."""
        names = ("open", "lost", "unhealthy", "overdue", "orphans")
        return {name: getattr(self, name) for name in names}

    @property
    def broken(self) -> bool:
        return any(self.violations.values())


class Drill:
    """Kills of one seed. `tell` hears each kill and each round; `first` names who dies before the random victims."""

    def __init__(self, desk: Desk, seed: int, tell: Callable[[str], None], first: Sequence[str] = ()) -> None:
        self._desk = desk
        self._runtime = desk.runtime
        self._seed = seed
        self._streams = Streams(seed, "kills")
        self._tell = tell
        self._first = list(first)
        self._background = Background(self._runtime.clock, self._failed)

    async def run(self, kills: int) -> list[Round]:
        """Rounds until so many were killed; the testbed is calm before and after."""
        rounds: list[Round] = []
        while (left := kills - sum(len(one.kills) for one in rounds)) > 0:
            rounds.append(await self._round(len(rounds) + 1, left))
        return rounds

    async def _round(self, number: int, left: int) -> Round:
        seen = Round(number)
        await self._calm()
        await self._start_scenario()
        regions = sorted({spec.region for spec in self._runtime.instances() if spec.service == "provisioner"})
        orders = Orders(self._runtime, f"kills-{self._seed}-{number}", regions, ORDER_EVERY_S)
        known: set[str] = set()
        background = self._background.scope()
        try:
            ordering = background.keep(orders.order_for_ever, "orders")
            background.keep(partial(self._note_operations, known), "operations in the store")
            await self._kill_at_random(seen, min(left, KILLS_A_ROUND), background)
            await self._healthy(seen)
            ordering.cancel()
            await self._repair()
            seen.operations, seen.orders = len(known), len(orders.accepted)
            await self._ends(seen, known, orders)
        finally:
            await background.stop()
        await self._calm()
        seen.orphans += await self._orphans()
        self._tell(f"round {number}: {_summary(seen)}")
        return seen

    # The scenario

    def _failed(self, kind: str, /, **fields: object) -> None:
        self._tell(f"  {kind}: {fields}")

    async def _calm(self) -> None:
        await self._until(self._desk.answers, STARTED_S, "the controller answers")
        await self._desk.done("POST", "/v1/reset")
        await self._runtime.refresh()

    async def _start_scenario(self) -> None:
        await self._desk.done("POST", "/v1/runs", {"scenario": SCENARIO, "seed": self._seed})

        async def begun() -> bool:
            return (await self._tau_s() or -1.0) >= 0.0

        await self._until(begun, STARTED_S, "the scenario begins")

    async def _tau_s(self) -> float | None:
        """Where the scenario is; None when it has ended or the controller does not say."""
        reply = await self._desk.chaos("GET", "/v1/runs/current", timeout_s=2.0)
        if not reply.ok or reply.json()["state"] not in ("starting", "running"):
            return None
        return float(reply.json()["now"].get("t", -1.0))

    # Killing

    async def _kill_at_random(self, seen: Round, count: int, background: Background) -> None:
        """Returns when all victims are healthy again, or were given up, and all faults are over.

        The last victim of a round is the controller; a round ends early when the controller was drawn before.
        """
        draw, watchers = self._streams["kills"], list[asyncio.Task[None]]()
        while not seen.run_ended:
            await asyncio.sleep(draw.uniform(*GAP_S))
            if draw.random() < FAULT_SHARE and (fault := await inject_random(self._desk, self._streams["faults"])):
                seen.faults.append(fault)
                watchers.append(background.call(watch_out(self._desk, fault), f"end of {fault.id}"))
            tau_s = await self._tau_s()
            victim = await self._victim(draw, last=tau_s is None or len(seen.kills) == count - 1)
            kill = Kill(seen.number, victim.name, math.nan if tau_s is None else tau_s)
            seen.kills.append(kill)
            watchers.append(background.call(self._kill(victim, kill), f"kill of {victim.name}"))
            if victim.name == CONTROLLER:
                seen.run_ended = f"with the controller at τ {kill.tau_s:.0f}"
        await asyncio.gather(*watchers)

    async def _victim(self, draw: Random, *, last: bool) -> DockerContainer:
        containers = [one for one in await self._desk.containers() if one.alive and not one.partition]
        named = CONTROLLER if last else self._first.pop(0) if self._first else ""
        return next((one for one in containers if one.name == named), None) or draw.choice(containers)

    async def _kill(self, victim: DockerContainer, kill: Kill) -> None:
        before = await self._desk.condition(victim)
        clock = self._runtime.clock
        start = clock.now()
        await self._runtime.engine.kill_process(victim)

        async def healed() -> bool:
            now = await self._desk.condition(victim)
            return now.healthy and now.started_at != before.started_at

        with suppress(TimeoutError):
            await self._until(healed, HEALED_S, victim.name)
            kill.healed_s = clock.now() - start
        word = "NOT healthy again" if kill.healed_s is None else f"healthy after {kill.healed_s:.1f} s"
        self._tell(f"  killed {kill.victim} at τ {kill.tau_s:.0f}: {word}")

    # What must be true afterwards

    async def _note_operations(self, known: set[str]) -> None:
        """Every operation that the store has shown counts as accepted."""
        while True:
            with suppress(RedisError, OSError):
                known.update(await self._desk.operations())
            await asyncio.sleep(POLL_S)

    async def _healthy(self, seen: Round) -> None:
        async def all_healthy() -> bool:
            seen.unhealthy = [name for name, one in (await self._conditions()).items() if not one.healthy]
            return not seen.unhealthy

        seen.unhealthy = ["all: the engine did not answer"]
        with suppress(TimeoutError):
            await self._until(all_healthy, HEALED_S, "every container is healthy")

    async def _conditions(self) -> dict[str, Condition]:
        containers = [one for one in await self._desk.containers() if not one.partition]
        rows = await asyncio.gather(*(self._desk.condition(one) for one in containers))
        return {one.name: row for one, row in zip(containers, rows, strict=True)}

    async def _repair(self) -> None:
        """Access for all, mitigations, everything drained, a slow ramp."""
        done = self._desk.done
        await done("PUT", "/v1/anonymous-access", {"enabled": True})
        for mitigation in CURED_BY:
            await done("PUT", f"/v1/mitigations/{mitigation}", {"on": True})
        for how, wait_s in (({"mode": "drain"}, REPAIR_DRAIN_S), (RAMP, 0.0)):
            for region in ("eastus", "westus"):
                await done("PUT", f"/v1/regions/{region}/traffic", how)
            await asyncio.sleep(wait_s)

    async def _ends(self, seen: Round, known: set[str], orders: Orders) -> None:
        """Operations accepted until now; those of the load that goes on are new and not asked for."""
        asked = set(known)

        async def ended() -> bool:
            states = await self._desk.operations()
            seen.lost = sorted(asked - set(states))
            seen.open = [f"{key} {states[key]}" for key in asked & set(states) if states[key] not in TERMINAL]
            seen.open += [f"{machine} {status}" for machine, status in (await orders.open()).items()]
            return not seen.open

        seen.open = ["all: the store did not answer"]
        with suppress(TimeoutError):
            await self._until(ended, ENDED_S, "every accepted operation ends")

    async def _orphans(self) -> list[str]:
        """Containers, faults, mitigations and leases left over after a return to calm."""
        status = await self._desk.done("GET", "/v1/status")
        found = [f"container {one.name}" for one in await self._desk.containers() if one.partition or one.added]
        found += [f"fault {fault['id']}" for fault in status["faults"]]
        found += [f"mitigation {one}" for one in status["mitigations"]]
        found += [f"run {status['run']}"] if status["run"] else []
        return found

    async def _until(self, probe: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
        """
        Raises:
            TimeoutError: when `probe` did not hold in time; a store or an engine that is away counts as no.
        """
        clock = self._runtime.clock
        start = clock.now()
        while clock.now() - start < within_s:
            with suppress(RedisError, OSError, RuntimeUnavailable):
                if await probe():
                    return
            await asyncio.sleep(POLL_S)
        raise TimeoutError(f"not within {within_s:.0f} s: {what}")


def _summary(seen: Round) -> str:
    words = [
        f"{len(seen.kills)} kills",
        f"{len(seen.faults)} faults",
        f"{seen.operations} operations and {seen.orders} orders accepted",
        f"the run ended {seen.run_ended}",
    ]
    words += [f"{promise.upper()}: {', '.join(found[:5])}" for promise, found in seen.violations.items() if found]
    return "; ".join(words)
