"""Every fault of the catalogue on the wire, in both directions, beside a control that must change nothing.

Inject: the effect is measured at a published port, and counted. End: by its lease (gone within the lease and a second)
and by a call (gone within a second). Control: the same fault with probability 0, and a dry run. The victims are in
North Europe, whose users are silenced for these tests, so that every request that a fault meets is one of ours.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chaos.faults.registry import CATALOGUE
from tests.system.system_desk import Desk
from tests.words.faults import CASES, STARTUP_S, FaultCase
from tests.words.operator import REGION, ROUTER, TOKEN, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
LONG_S = 60.0
CUT_S = 12.0
USABLE_S = 10.0
"""After a cut, however long it was: a TCP connection that lost data is given up after 5 s, a connect after 5 s
(`services/chassis/store.py`), and the next try follows within a second. Requests have shorter timeouts."""


@pytest.fixture
async def quiet(desk: Desk) -> AsyncIterator[Desk]:
    """A desk in front of a region without users."""
    await desk.done("POST", "/v1/operations/load", {"region": REGION, "factor": 0})
    yield desk
    await desk.done("DELETE", "/v1/faults")
    await desk.done("POST", "/v1/operations/load", {"region": REGION, "factor": 1})
    await eventually(lambda: desk.ready(ROUTER), within_s=STARTUP_S)


async def inject(desk: Desk, case: FaultCase, lease_s: float, **more: Any) -> str:
    return str((await desk.done("POST", "/v1/faults", {**case.body, "lease_s": lease_s, **more}))["id"])


async def shows(desk: Desk, case: FaultCase) -> None:
    await eventually(lambda: case.shows(desk), within_s=1.5, what=f"{case.kind} has its effect")


async def calm(desk: Desk, case: FaultCase) -> None:
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
async def test_a_fault_acts_is_counted_and_ends_with_its_lease(quiet: Desk, case: FaultCase) -> None:
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
async def test_a_fault_ends_when_it_is_told_to(quiet: Desk, case: FaultCase) -> None:
    fault = await inject(quiet, case, LONG_S)
    await shows(quiet, case)
    await quiet.done("DELETE", f"/v1/faults/{fault}")
    await calm(quiet, case)
    assert (await quiet.chaos("GET", f"/v1/faults/{fault}")).status == 404


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_the_control_changes_nothing(quiet: Desk, case: FaultCase) -> None:
    dry = await quiet.done("POST", "/v1/faults?dry_run=1", {**case.body, "lease_s": LONG_S})
    assert dry["instances"] == ["redis" if case.kind == "redis_stall" else case.victim]
    fault = await inject(quiet, case, LONG_S, probability=0)
    await asyncio.sleep(0.3)
    assert not await case.shows(quiet)
    assert await effects(quiet, fault) == 0
    await quiet.done("DELETE", f"/v1/faults/{fault}")


async def test_connections_are_usable_soon_after_a_long_cut(desk: Desk) -> None:
    """Data is lost on open connections all the time: without the limits above, TCP would repeat it ever more rarely."""
    loop = asyncio.get_running_loop()
    for peer in ("redis", f"identity-{REGION}-*"):
        await desk.inject("partition", {"instance": ROUTER}, CUT_S, parameters={"peer": peer})
    over_at = loop.time() + CUT_S
    assert not (await desk.ask(ROUTER, timeout_s=1.0)).ok
    while loop.time() < over_at:
        await asyncio.gather(desk.ask(ROUTER, timeout_s=0.7), desk.ask(ROUTER, TOKEN, 0.7))
        await asyncio.sleep(0.3)

    async def usable() -> bool:
        ready, token = await asyncio.gather(
            desk.ask(ROUTER),
            desk.http.call("GET", desk.url(ROUTER) + TOKEN, headers={"Metadata": "true"}, timeout_s=2.0),
        )
        return ready.ok and token.status not in (0, 500, 503, 504)

    print(f"usable after {await eventually(usable, within_s=USABLE_S):.1f} s")
