"""Every fault of the catalogue on the wire, in both directions, beside a control that must change nothing.

Inject: the effect is measured at a published port, and counted. End: by its lease (gone within the lease and a second)
and by a call (gone within a second). Control: the same fault with probability 0, and a dry run. The victims are in
North Europe, whose users are silenced for these tests, so that every request that a fault meets is one of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaos.faults.registry import CATALOGUE
from tests.system.system_desk import Desk, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
REGION = "northeurope"
ROUTER, BLOBSTORE = f"router-{REGION}", f"blobstore-{REGION}"
BLOB = f"/vmextmi{REGION}/packages/GitHub.Actions.HostedRunner/1.0/package.zip"
LEASE_S = 2.5
LONG_S = 60.0
GONE_S = 1.0
STARTUP_S = 15.0
PAGES = 30
Probe = Callable[[Desk], Awaitable[bool]]


async def blob(desk: Desk, timeout_s: float = 2.0) -> Any:
    return await desk.ask(BLOBSTORE, BLOB, timeout_s)


async def delayed(desk: Desk) -> bool:
    return await seconds(lambda: blob(desk)) >= 0.8


async def refused_with_an_error(desk: Desk) -> bool:
    reply = await blob(desk)
    return (reply.status, reply.headers.get("x-ms-error-code"), reply.headers.get("Retry-After")) == (
        503,
        "ServerBusy",
        "7",
    )


async def unavailable(desk: Desk) -> bool:
    return bool((await blob(desk)).status == 503)


async def throttled(desk: Desk) -> bool:
    replies = [await blob(desk) for _ in range(3)]
    return {reply.status for reply in replies[1:]} == {429} and replies[2].headers["Retry-After"] == "1"


async def reset(desk: Desk) -> bool:
    return bool((await blob(desk)).failure == "reset")


async def silent(desk: Desk) -> bool:
    return bool((await blob(desk, timeout_s=0.7)).failure == "timeout")


async def gone(desk: Desk) -> bool:
    return (await desk.ask(ROUTER, "/healthz", 0.7)).failure in ("refused", "reset")


async def frozen(desk: Desk) -> bool:
    return (await desk.ask(ROUTER, "/healthz", 0.7)).failure == "timeout"


async def slow(desk: Desk) -> bool:
    """Pages cost the router a millisecond of processor each: nothing, unless it gets a hundredth of one."""

    async def pages() -> None:
        for _ in range(PAGES):
            await desk.ask(ROUTER, "/metrics", 5.0)

    return await seconds(pages) > 1.5


async def without_store(desk: Desk) -> bool:
    ready, alive = await asyncio.gather(desk.ask(ROUTER, "/readyz", 0.7), desk.ask(ROUTER, "/healthz", 0.7))
    return ready.failure == "timeout" and alive.ok


async def seconds(work: Callable[[], Awaitable[Any]]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await work()
    return loop.time() - start


@dataclass(frozen=True)
class Case:
    """A fault, whom it meets, and how its effect shows. `back_s` is what the victim needs to be itself again.

    Looking takes its time too and has to end before the lease does: at a hundredth of a processor it takes seconds.
    """

    kind: str
    victim: str
    shows: Probe
    parameters: dict[str, Any] = field(default_factory=dict)
    back_s: float = GONE_S
    lease_s: float = LEASE_S

    @property
    def body(self) -> dict[str, Any]:
        target = {} if self.kind == "redis_stall" else {"instance": self.victim}
        return {"kind": self.kind, "target": target, "parameters": self.parameters}


CASES = [
    Case("latency", BLOBSTORE, delayed, {"delay_s": 0.8}),
    Case("http_error", BLOBSTORE, refused_with_an_error, {"status": 503, "code": "ServerBusy", "retry_after_s": 7}),
    Case("fail_first", BLOBSTORE, unavailable, {"count": 1000}),
    Case("throttle", BLOBSTORE, throttled, {"rate_per_s": 1}),
    Case("connection_reset", BLOBSTORE, reset),
    Case("blackhole", BLOBSTORE, silent),
    Case("crash", ROUTER, gone, back_s=STARTUP_S),
    Case("freeze", ROUTER, frozen),
    Case("cpu_limit", ROUTER, slow, {"cpus": 0.01}, lease_s=10.0),
    Case("partition", ROUTER, without_store, {"peer": "redis"}),
    Case("redis_stall", ROUTER, without_store),
]


@pytest.fixture
async def quiet(desk: Desk) -> AsyncIterator[Desk]:
    """A desk in front of a region without users."""
    await desk.done("POST", "/v1/operations/load", {"region": REGION, "factor": 0})
    yield desk
    await desk.done("DELETE", "/v1/faults")
    await desk.done("POST", "/v1/operations/load", {"region": REGION, "factor": 1})
    await eventually(lambda: desk.ready(ROUTER), within_s=STARTUP_S)


async def inject(desk: Desk, case: Case, lease_s: float, **more: Any) -> str:
    return str((await desk.done("POST", "/v1/faults", {**case.body, "lease_s": lease_s, **more}))["id"])


async def shows(desk: Desk, case: Case) -> None:
    await eventually(lambda: case.shows(desk), within_s=1.5, what=f"{case.kind} has its effect")


async def calm(desk: Desk, case: Case) -> None:
    async def over() -> bool:
        return not await case.shows(desk) and (await desk.ask(case.victim)).ok

    await eventually(over, within_s=case.back_s, what=f"{case.kind} is over")


async def unlisted(desk: Desk, fault: str) -> bool:
    return all(active["id"] != fault for active in (await desk.done("GET", "/v1/faults"))["faults"])


async def effects(desk: Desk, fault: str) -> int:
    return int((await desk.done("GET", f"/v1/faults/{fault}"))["effects"])


def test_the_whole_catalogue_is_tested() -> None:
    assert [case.kind for case in CASES] == list(CATALOGUE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_a_fault_acts_is_counted_and_ends_with_its_lease(quiet: Desk, case: Case) -> None:
    loop = asyncio.get_running_loop()
    fault = await inject(quiet, case, case.lease_s)
    injected = loop.time()
    await shows(quiet, case)

    async def counted() -> bool:
        return await effects(quiet, fault) >= 1

    await eventually(counted, within_s=1.0, what="its effect is counted")
    await asyncio.sleep(max(0.0, injected + case.lease_s - loop.time()))
    await calm(quiet, case)
    await eventually(lambda: unlisted(quiet, fault), within_s=1.0, what=f"{case.kind} is not listed any more")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_a_fault_ends_when_it_is_told_to(quiet: Desk, case: Case) -> None:
    fault = await inject(quiet, case, LONG_S)
    await shows(quiet, case)
    await quiet.done("DELETE", f"/v1/faults/{fault}")
    await calm(quiet, case)
    assert (await quiet.chaos("GET", f"/v1/faults/{fault}")).status == 404


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_the_control_changes_nothing(quiet: Desk, case: Case) -> None:
    dry = await quiet.done("POST", "/v1/faults?dry_run=1", {**case.body, "lease_s": LONG_S})
    assert dry["instances"] == ["redis" if case.kind == "redis_stall" else case.victim]
    fault = await inject(quiet, case, LONG_S, probability=0)
    await asyncio.sleep(0.3)
    assert not await case.shows(quiet)
    assert await effects(quiet, fault) == 0
    await quiet.done("DELETE", f"/v1/faults/{fault}")
