"""Whatever the load creates has an end: forgotten, failed, given up, worn out, or left by a generator that died."""

import asyncio
from typing import Any

import pytest

from compose.virtual.world import VirtualWorld
from loadgen.leftovers import ENTRIES_MAX, RETRY_S, Leftover, Leftovers
from loadgen.load import Load
from loadgen.machines import MachineNeeds, Machines
from loadgen.runner_pool import RunnerPool
from services.chassis.store import Keys, text
from tests.unit.loadgen.loadgen_cloud import Cloud, Fixed

LIFETIME_S = 60.0
PATIENCE_S = 30.0
EVERYBODY: dict[str, Any] = {"jobs": 2.0, "tokens": 4.0}
OUTCOMES = ("works", "fails", "never ends", "refused")


def created(cloud: Cloud) -> set[str]:
    """Machines and identities that somebody asked for; an extension goes with its machine."""
    puts = [call.path for fake in (cloud.provisioner, cloud.router) for call in fake.calls if call.method == "PUT"]
    return {path for path in puts if "/extensions/" not in path}


def deleted(cloud: Cloud) -> set[str]:
    return {call.path for fake in (cloud.provisioner, cloud.router) for call in fake.calls if call.method == "DELETE"}


def held(load: Load) -> set[str]:
    return {leftover.name for holder in load.tools.leftovers._holders for leftover in holder()}


def left_over(cloud: Cloud, load: Load) -> set[str]:
    """What was created and is neither deleted nor held; identities are held by name."""
    kept = held(load)
    return {path for path in created(cloud) - deleted(cloud) if path not in kept and path.rsplit("/", 1)[1] not in kept}


def everybody(cloud: Cloud, **settings: Any) -> Load:
    values: dict[str, Any] = {
        "resource_lifetime_s": LIFETIME_S,
        "patience_mean_s": PATIENCE_S,
        "discard_used": False,
        "warm_runners": 1,
        "ready_machines": 1,
        **settings,
    }
    return cloud.load(**EVERYBODY, **values)


async def quiet(load: Load) -> None:
    """No arrivals any more, and long enough for all journeys, lifetimes and retries to be over."""
    load.set_load("eastus", 0.0)
    await asyncio.sleep(700.0)


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_everything_that_a_tenant_creates_is_deleted(cloud: Cloud, outcome: str) -> None:
    cloud.provisioner.blocked = outcome == "never ends"
    cloud.provisioner.error = "VMExtensionProvisioningError" if outcome == "fails" else ""
    load = everybody(cloud)
    await load.start()
    await asyncio.sleep(60.0)
    if outcome == "refused":  # while the first lifetimes end
        cloud.provisioner.refuse, cloud.router.down = (503, "ServiceUnavailable"), True
        await asyncio.sleep(20.0)
        cloud.provisioner.refuse, cloud.router.down = None, False
    await quiet(load)
    assert len(created(cloud)) > 60
    assert left_over(cloud, load) == set()
    assert load.tools.env.metrics.total("loadgen_leftovers_deleted_total") >= len(created(cloud) & deleted(cloud))
    await load.stop()


async def test_the_next_load_generator_deletes_what_a_dead_one_left(cloud: Cloud) -> None:
    first = everybody(cloud)
    await first.start()
    await asyncio.sleep(50.0)
    await first.stop()  # its machines, the ready ones too, are now nobody's
    made = created(cloud)
    second = cloud.load(resource_lifetime_s=LIFETIME_S)
    await second.start()
    await asyncio.sleep(200.0)
    assert made - deleted(cloud) == set()
    assert await second.tools.env.store.zcard(Keys.LEFTOVERS) == 0
    await second.stop()


async def test_a_machine_is_deleted_exactly_when_its_lifetime_is_over(cloud: Cloud) -> None:
    load = cloud.load(resource_lifetime_s=LIFETIME_S)
    await load.start()
    await asyncio.sleep(0.5)
    noted = cloud.now
    load.tools.leftovers.note(Leftover("azure-devops", "eastus", "machine", "/subscriptions/s/x"))
    await asyncio.sleep(200.0)
    (call,) = cloud.provisioner.calls
    assert (call.method, call.path, call.at - noted) == ("DELETE", "/subscriptions/s/x", LIFETIME_S + 0.5)
    await load.stop()


async def test_what_cannot_be_deleted_now_is_tried_again(cloud: Cloud) -> None:
    load = cloud.load(resource_lifetime_s=LIFETIME_S, workflow={"attempts": 1}, sdk={"attempts": 1})
    await load.start()
    cloud.provisioner.refuse = (503, "ServiceUnavailable")
    load.tools.leftovers.note(Leftover("azure-devops", "eastus", "machine", "/subscriptions/s/x"))
    await asyncio.sleep(LIFETIME_S + RETRY_S / 2)
    assert len(cloud.provisioner.calls) == 1
    cloud.provisioner.refuse = None
    await asyncio.sleep(RETRY_S)
    first, second = cloud.provisioner.calls
    assert second.at - first.at == RETRY_S
    assert await load.tools.env.store.zcard(Keys.LEFTOVERS) == 0
    await load.stop()


async def test_notes_outlive_a_store_that_is_away(cloud: Cloud, world: VirtualWorld) -> None:
    load = cloud.load(resource_lifetime_s=LIFETIME_S)
    await load.start()
    world.redis.stall(100.0)
    load.tools.leftovers.note(Leftover("azure-devops", "eastus", "machine", "/subscriptions/s/x"))
    await asyncio.sleep(300.0)
    assert [call.method for call in cloud.provisioner.calls] == ["DELETE"]
    await load.stop()


async def test_garbage_among_the_entries_is_dropped(cloud: Cloud) -> None:
    load = cloud.load(resource_lifetime_s=LIFETIME_S)
    await load.tools.env.store.zadd(Keys.LEFTOVERS, {"{": 0.0, "a b pet c": 0.0})
    await load.start()
    await asyncio.sleep(5.0)
    assert await load.tools.env.store.zcard(Keys.LEFTOVERS) == 0
    assert cloud.provisioner.calls == []
    await load.stop()


async def test_the_oldest_of_too_many_notes_is_forgotten_and_counted(cloud: Cloud) -> None:
    tools = cloud.site().tools
    leftovers = Leftovers(tools)
    for number in range(ENTRIES_MAX + 3):
        leftovers.note(Leftover("t", "eastus", "machine", str(number)))
    await leftovers.flush()
    leftovers.note(Leftover("t", "eastus", "machine", "one more"))
    await leftovers.flush()
    await leftovers._delete_due()
    assert tools.env.metrics.total("loadgen_leftovers_forgotten_total") == 4
    assert (
        text((await tools.env.store.zrange(Keys.LEFTOVERS, 0, 0))[0]) != Leftover("t", "eastus", "machine", "0").entry()
    )
    assert await tools.env.store.zcard(Keys.LEFTOVERS) == ENTRIES_MAX


async def test_a_machine_that_is_too_old_is_deleted_after_its_next_use(cloud: Cloud) -> None:
    machines = Machines(cloud.site(machine_age_max_s=100.0), "vm", "")
    machine = machines.new()
    await asyncio.sleep(99.0)
    machines.keep(machine)
    assert machines.take() == machine
    await asyncio.sleep(1.0)
    machines.keep(machine)
    assert machines.take() is None


async def test_an_idle_runner_is_held_and_a_used_one_is_not(cloud: Cloud) -> None:
    site = cloud.site(warm_runners=1, discard_used=False)
    site.rng = Fixed(100.0)
    pool = RunnerPool(site, {"standard": MachineNeeds(extension="GitHub.Actions/HostedRunner")})
    await pool._provision("standard", 100.0)
    (idle,) = pool._held()
    runner = await pool.acquire("standard", 0.0)
    assert runner is not None
    assert runner.path == idle.name
    pool.release("standard", runner)
    assert list(pool._held()) == []
