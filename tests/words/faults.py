"""Every kind of fault: whom it meets, and how its effect shows at an instance, on any runtime with real time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.words.operator import BLOB, BLOBSTORE, ROUTER, Asks

LEASE_S = 2.5
GONE_S = 1.0
STARTUP_S = 15.0
PAGES = 30
Shows = Callable[[Asks], Awaitable[bool]]


async def blob(desk: Asks, timeout_s: float = 2.0) -> Any:
    return await desk.ask(BLOBSTORE, BLOB, timeout_s)


async def delayed(desk: Asks) -> bool:
    return await seconds(lambda: blob(desk)) >= 0.8


async def refused_with_an_error(desk: Asks) -> bool:
    reply = await blob(desk)
    return (reply.status, reply.headers.get("x-ms-error-code"), reply.headers.get("Retry-After")) == (
        503,
        "ServerBusy",
        "7",
    )


async def unavailable(desk: Asks) -> bool:
    return bool((await blob(desk)).status == 503)


async def throttled(desk: Asks) -> bool:
    replies = [await blob(desk) for _ in range(3)]
    return {reply.status for reply in replies[1:]} == {429} and replies[2].headers["Retry-After"] == "1"


async def reset(desk: Asks) -> bool:
    return bool((await blob(desk)).failure == "reset")


async def silent(desk: Asks) -> bool:
    return bool((await blob(desk, timeout_s=0.7)).failure == "timeout")


async def gone(desk: Asks) -> bool:
    return (await desk.ask(ROUTER, "/healthz", 0.7)).failure in ("refused", "reset")


async def frozen(desk: Asks) -> bool:
    return (await desk.ask(ROUTER, "/healthz", 0.7)).failure == "timeout"


async def slow(desk: Asks) -> bool:
    """Pages cost the router a millisecond of processor each: nothing, unless it gets a hundredth of one."""

    async def pages() -> None:
        for _ in range(PAGES):
            await desk.ask(ROUTER, "/metrics", 5.0)

    return await seconds(pages) > 1.5


async def without_store(desk: Asks) -> bool:
    ready, alive = await asyncio.gather(desk.ask(ROUTER, "/readyz", 0.7), desk.ask(ROUTER, "/healthz", 0.7))
    return ready.failure == "timeout" and alive.ok


async def seconds(work: Callable[[], Awaitable[Any]]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await work()
    return loop.time() - start


@dataclass(frozen=True)
class FaultCase:
    """A fault, whom it meets, and how its effect shows. `back_s` is what the victim needs to be itself again.

    Looking takes its time too and has to end before the lease does: at a hundredth of a processor it takes seconds.
    """

    kind: str
    victim: str
    shows: Shows
    parameters: dict[str, Any] = field(default_factory=dict)
    back_s: float = GONE_S
    lease_s: float = LEASE_S

    @property
    def body(self) -> dict[str, Any]:
        target = {} if self.kind == "redis_stall" else {"instance": self.victim}
        return {"kind": self.kind, "target": target, "parameters": self.parameters}


BUSY: dict[str, Any] = {"status": 503, "code": "ServerBusy", "retry_after_s": 7}
CASES = [
    FaultCase("latency", BLOBSTORE, delayed, {"delay_s": 0.8}),
    FaultCase("http_error", BLOBSTORE, refused_with_an_error, BUSY),
    FaultCase("fail_first", BLOBSTORE, unavailable, {"count": 1000}),
    FaultCase("throttle", BLOBSTORE, throttled, {"rate_per_s": 1}),
    FaultCase("connection_reset", BLOBSTORE, reset),
    FaultCase("blackhole", BLOBSTORE, silent),
    FaultCase("crash", ROUTER, gone, back_s=STARTUP_S),
    FaultCase("freeze", ROUTER, frozen),
    FaultCase("cpu_limit", ROUTER, slow, {"cpus": 0.01}, lease_s=10.0),
    FaultCase("partition", ROUTER, without_store, {"peer": "redis"}),
    FaultCase("redis_stall", ROUTER, without_store),
]
