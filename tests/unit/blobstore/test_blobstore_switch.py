"""The account switch: exact propagation, both directions, its event, its metric, and a restart in the middle."""

import asyncio

import pytest

from compose.virtual.world import VirtualWorld
from tests.unit.blobstore.blobstore_region import PACKAGE, Region

ACCOUNT = "vmextmieastus"


async def status_at(region: Region, at: float, path: str = PACKAGE) -> int:
    await asyncio.sleep(at - region.clock.now())
    answer = await region.get(path)
    assert answer.at == at
    return answer.status


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_off_gives_409_and_on_gives_200_exactly_after_the_delay(region: Region) -> None:
    off = await region.switch(ACCOUNT, False)
    assert off.json()["properties"]["allowBlobPublicAccess"] is False
    assert [await status_at(region, at) for at in (0.0, 0.499, 0.5, 100.0)] == [200, 200, 409, 409]
    on = await region.switch(ACCOUNT, True)
    assert on.json()["properties"]["allowBlobPublicAccess"] is True
    assert [await status_at(region, at) for at in (100.0, 100.499, 100.5, 200.0)] == [409, 409, 200, 200]


async def test_only_the_switched_account_changes(region: Region) -> None:
    await region.switch(ACCOUNT, False)
    other = "/vmextlinuxeastus/packages/Microsoft.Azure.Extensions.CustomScript/1.0/package.zip"
    assert await status_at(region, 1.0, other) == 200
    assert await status_at(region, 1.0) == 409


async def test_the_delay_is_a_setting(world: VirtualWorld) -> None:
    region = await Region(world, {"propagation_delay_s": 30.0}).start()
    await region.switch(ACCOUNT, False)
    assert [await status_at(region, at) for at in (29.999, 30.0)] == [200, 409]


async def test_without_delay_the_switch_works_at_once(world: VirtualWorld) -> None:
    region = await Region(world, {"propagation_delay_s": 0.0}).start()
    await region.switch(ACCOUNT, False)
    assert await status_at(region, 0.0) == 409


async def test_a_change_is_one_event_that_names_who_did_it(region: Region) -> None:
    await region.switch(ACCOUNT, False, x_ms_correlation_request_id="remediation-1")
    await region.switch(ACCOUNT, True)
    await region.switch("mslogseastus", False, x_ms_correlation_request_id="remediation-1")
    assert region.changes() == [
        {"account": ACCOUNT, "region": "eastus", "public": False, "exempt": True, "actor": "remediation-1"},
        {"account": ACCOUNT, "region": "eastus", "public": True, "exempt": True, "actor": "unknown"},
        {"account": "mslogseastus", "region": "eastus", "public": False, "exempt": False, "actor": "remediation-1"},
    ]


async def test_the_same_value_again_changes_nothing(region: Region) -> None:
    await region.switch(ACCOUNT, False)
    assert await status_at(region, 0.3) == 200
    again = await region.switch(ACCOUNT, False)
    assert again.status == 200
    assert await status_at(region, 0.5) == 409  # not restarted by the second request
    assert len(region.changes()) == 1
    assert (await region.switch("vmextwineastus", True)).json()["properties"]["allowBlobPublicAccess"] is True
    assert len(region.changes()) == 1


async def test_back_within_the_delay_locks_for_as_long_as_it_was_off(region: Region) -> None:
    await region.switch(ACCOUNT, False)
    assert await status_at(region, 0.2) == 200
    await region.switch(ACCOUNT, True)
    assert [await status_at(region, at) for at in (0.499, 0.5, 0.699, 0.7)] == [200, 409, 409, 200]


async def test_the_accounts_metric_follows_what_readers_meet(region: Region) -> None:
    def count(public: str, exempt: str) -> float:
        return region.metric("blobstore_accounts", region="eastus", public=public, exempt=exempt)

    def rows() -> list[float]:
        return [count("true", "true"), count("false", "true"), count("true", "false"), count("false", "false")]

    assert rows() == [4, 0, 2, 0]
    await region.switch(ACCOUNT, False)
    await region.switch("msdiageastus", False)
    assert rows() == [4, 0, 2, 0]
    await asyncio.sleep(0.5)
    assert rows() == [3, 1, 1, 1]


async def test_a_switch_survives_a_crash_before_it_takes_effect(region: Region) -> None:
    await region.switch(ACCOUNT, False)
    assert await status_at(region, 0.2) == 200
    await region.restart()
    assert [await status_at(region, at) for at in (0.25, 0.499, 0.5)] == [200, 200, 409]
    assert len(region.changes()) == 1


async def test_a_switch_is_durable_when_it_is_acknowledged(region: Region) -> None:
    region.world.redis.stall(3.0)
    assert (await region.switch(ACCOUNT, False)).at == 3.0
    region.served.kill()
    await region.start()
    assert await status_at(region, 4.0) == 409


async def test_switches_take_turns_while_redis_stalls(region: Region) -> None:
    region.world.redis.stall(3.0)
    answers = await asyncio.gather(
        region.switch(ACCOUNT, False), region.switch(ACCOUNT, True), region.switch(ACCOUNT, False)
    )
    assert [answer.json()["properties"]["allowBlobPublicAccess"] for answer in answers] == [False, True, False]
    assert [change["public"] for change in region.changes()] == [False, True, False]
    await region.restart()
    assert await status_at(region, 10.0) == 409
