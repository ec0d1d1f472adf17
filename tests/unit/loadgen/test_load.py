"""The load as a whole: open loop, repeatable, counted, and changeable while it runs."""

import asyncio
import json
import math
from collections import Counter
from typing import Any

import pytest

from loadgen.load import Arrival, Load, LoadError
from loadgen.tenants import default_table
from services.chassis.store import Keys
from tests.unit.loadgen.loadgen_cloud import Cloud, only

WINDOWS = "windows-virtual-machines"


async def run(load: Load, seconds: float) -> list[Arrival]:
    await load.start()
    await asyncio.sleep(seconds)
    await load.stop()
    return list(load.arrivals)


async def test_a_stalled_server_does_not_slow_the_arrivals_and_is_paid_for_in_latency(cloud: Cloud) -> None:
    table = only("databricks", share=1.0)
    calm = await run(cloud.load(table=table, tokens=1.0), 40)
    start, gate = cloud.now, asyncio.Event()
    table = only(WINDOWS, share=1.0)
    load = cloud.load(table=table, jobs=1.0, arm_timeout_s=100.0)
    cloud.provisioner.stalled = gate
    await load.start()
    await asyncio.sleep(20.0)
    gate.set()
    await asyncio.sleep(20.0)
    await load.stop()
    assert [row.planned_t for row in load.arrivals] == [row.actual_t for row in load.arrivals]
    assert len(load.arrivals) > 20
    assert len(calm) > 20
    stalled = [event for event in cloud.operations(tenant=WINDOWS) if event["intended_t"] < 20]
    assert len(stalled) > 10
    # Accepted at 20, first look 3 s later; what the user felt began when the user came.
    assert all(round(event["intended_t"] + event["duration_s"], 5) == 23.0 for event in stalled)
    assert cloud.now == start + 40.0


async def test_above_in_flight_max_arrivals_are_dropped_and_counted(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    load = cloud.load(table=only(WINDOWS, share=1.0), jobs=2.0, in_flight_max=3, patience_mean_s=1e9)
    rows = await run(load, 20)
    assert [row.dropped for row in rows] == [False] * 3 + [True] * (len(rows) - 3)
    registry = load.tools.env.metrics
    assert registry.total("loadgen_operations_started_total") == 3
    assert registry.total("loadgen_arrivals_dropped_total", tenant=WINDOWS) == len(rows) - 3 > 10
    assert registry.total("loadgen_arrivals_late_total") == 0


async def test_what_is_sent_after_its_plan_is_late(cloud: Cloud) -> None:
    process = cloud.world.process("generator")
    load = cloud.load(table=only("azure-devops", share=1.0), jobs=2.0)
    await process.spawn(load.start())
    await asyncio.sleep(5.0)
    process.freeze()
    await asyncio.sleep(4.0)
    process.thaw()
    await asyncio.sleep(11.0)
    held_up = [row for row in load.arrivals if 5.0 < row.planned_t < 9.0]
    assert len(held_up) > 3
    assert {row.actual_t for row in held_up} == {9.0}
    late = [row for row in held_up if row.planned_t < 8.9]
    assert load.tools.env.metrics.total("loadgen_arrivals_late_total", tenant="azure-devops") == len(late)
    for row in held_up:
        (ended,) = cloud.operations(intended_t=row.planned_t)
        # Sent at 9, agent seen ready 3 s later, tasks run for 5 s.
        assert round(ended["intended_t"] + ended["duration_s"], 5) == 17.0
    await load.stop()


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_the_same_seed_gives_the_same_arrivals_and_another_seed_others(cloud: Cloud) -> None:
    first = await run(cloud.load(jobs=1.0, tokens=5.0), 30)
    again = await run(cloud.load(jobs=1.0, tokens=5.0), 30)
    other = await run(cloud.load(jobs=1.0, tokens=5.0, seed=2), 30)
    assert first == again
    assert len(first) > 100
    assert [row.planned_t for row in first] != [row.planned_t for row in other]


async def test_a_new_tenant_does_not_change_other_tenants_arrivals(two_regions: Cloud) -> None:
    few = await run(two_regions.load(jobs=2.0, tokens=5.0, tenants=["codeql", "databricks"]), 30)
    more = await run(two_regions.load(jobs=2.0, tokens=5.0, tenants=["codeql", "databricks", "azure-devops"]), 30)
    assert {row.tenant for row in more} == {"codeql", "databricks", "azure-devops"}
    assert [row for row in more if row.tenant != "azure-devops"] == few


async def test_every_tenant_gets_its_share(cloud: Cloud) -> None:
    jobs, tokens, seconds = 20.0, 40.0, 20.0
    rows = await run(cloud.load(jobs=jobs, tokens=tokens), seconds)
    count = Counter(row.tenant for row in rows)
    expected = {one.slug: jobs * seconds * one.share for one in default_table().tenants if one.load == "jobs"}
    assert sum(expected.values()) == pytest.approx(jobs * seconds)
    # Arrivals are a Poisson process: 3 standard deviations.
    off = {slug: (count[slug], mean) for slug, mean in expected.items() if abs(count[slug] - mean) > 3 * mean**0.5}
    assert off == {}
    calls = len(cloud.router.calls)
    assert calls == pytest.approx(tokens * seconds, rel=0.1)  # the rate is that of requests, cached uses come on top


async def test_a_region_without_a_tenant_has_the_same_load(two_regions: Cloud) -> None:
    load = two_regions.load(jobs=20.0)
    await load.start()
    rates = {
        region: {u.site.tenant: u.arrivals.rate_per_s for u in load._users if u.site.region == region and u.arrivals}
        for region in ("eastus", "westus")
    }
    await load.stop()
    assert rates["eastus"].keys() - rates["westus"].keys() == {"codespaces"}
    assert rates["eastus"]["codespaces"] == pytest.approx(20 * 0.03)
    assert [sum(here.values()) for here in rates.values()] == pytest.approx([20.0, 20.0])


async def test_the_load_of_one_region_changes_while_it_runs(two_regions: Cloud) -> None:
    table = only("codeql", share=1.0)
    plain = await run(two_regions.load(table=table, jobs=1.0), 40)
    load = two_regions.load(table=table, jobs=1.0)
    await load.start()
    await asyncio.sleep(10.0)
    load.set_load("eastus", 2.0)
    await asyncio.sleep(10.0)
    load.set_load("eastus", 0.0)
    await asyncio.sleep(20.0)
    await load.stop()
    assert [row for row in load.arrivals if row.region == "westus"] == [row for row in plain if row.region == "westus"]
    east = [row.planned_t for row in plain if row.region == "eastus" and row.planned_t < 30]
    doubled = [time if time < 10 else 10 + (time - 10) / 2 for time in east]
    changed = [row.planned_t for row in load.arrivals if row.region == "eastus"]
    assert [round(time, 4) for time in changed] == [round(time, 4) for time in doubled]
    assert load.factor("eastus") == 0.0


async def test_an_operation_event_has_tenant_region_kind_result_and_time(cloud: Cloud) -> None:
    cloud.provisioner.error = "VMExtensionProvisioningError"
    load = cloud.load(table=only(WINDOWS, share=1.0), jobs=1.0)
    zero = load.tools.env.clock.epoch() + 30.0
    await load.start(zero_epoch=zero)
    await asyncio.sleep(10.0)
    await load.stop()
    event = cloud.operations()[0]
    planned = load.arrivals[0].planned_t
    assert -30.0 < planned < -20.0
    assert {name: event[name] for name in event if name not in ("at", "source")} == {
        "kind": "operation",
        "tenant": WINDOWS,
        "region": "eastus",
        "journey": "provision",
        "operation": "create",
        "result": "failed",
        "code": "VMExtensionProvisioningError",
        "intended_t": planned,
        "duration_s": 3.0,
        "message": "the virtual machine operation did not complete",
    }
    arrivals = [event for event in cloud.events if event["kind"] == "arrival"]
    assert [round(event["planned_at"] - zero, 4) for event in arrivals] == [
        round(row.planned_t, 4) for row in load.arrivals
    ]


async def test_a_start_can_be_agreed_on_in_advance(cloud: Cloud) -> None:
    load = cloud.load(table=only("codeql", share=1.0), jobs=1.0)
    start = cloud.now
    await load.start(at_epoch=load.tools.env.clock.epoch() + 12.0)
    await asyncio.sleep(30.0)
    await load.stop()
    plain = await run(cloud.load(table=only("codeql", share=1.0), jobs=1.0), 18)
    assert [row.planned_t for row in load.arrivals] == [row.planned_t for row in plain]
    assert min(call.at for call in cloud.provisioner.calls) - start == pytest.approx(12 + plain[0].planned_t, abs=1e-5)


async def test_after_stop_nothing_is_sent_and_nothing_is_left(cloud: Cloud) -> None:
    load = cloud.load(jobs=5.0, tokens=5.0)
    await run(load, 20)
    calls = len(cloud.provisioner.calls) + len(cloud.provisioner.polls) + len(cloud.router.calls)
    ended = len(cloud.operations())
    await asyncio.sleep(100.0)
    assert len(cloud.provisioner.calls) + len(cloud.provisioner.polls) + len(cloud.router.calls) == calls
    assert len(cloud.operations()) == ended
    assert repr(load).startswith("<Load stopped, ")
    await load.stop()


async def test_what_exists_before_the_load_comes_one_by_one(cloud: Cloud) -> None:
    start = cloud.now
    load = cloud.load(jobs=1e-6, warm_runners=1, ready_machines=1, tenants=["codeql", "vm-scale-sets", "arc-servers"])
    await run(load, 20)
    assert [round(call.at - start, 6) for call in cloud.provisioner.made("PUT")] == [0.0, 1.5, 3.0, 4.5]
    kinds = [call.path.rsplit("/", 2)[1] for call in cloud.provisioner.made("PUT")]
    assert kinds == ["virtualMachines", "virtualMachines", "virtualMachineScaleSets", "virtualMachines"]
    assert cloud.operations() == []


async def test_wrong_requests_are_refused(cloud: Cloud) -> None:
    load = cloud.load(jobs=1.0)
    await load.start()
    with pytest.raises(LoadError, match="is running already"):
        await load.start()
    with pytest.raises(LoadError, match="region: unknown region 'mars'; known: eastus"):
        load.set_load("mars", 1.0)
    for factor in (-1.0, math.nan, math.inf):
        with pytest.raises(LoadError, match="factor: must be a number of at least 0"):
            load.set_load("eastus", factor)
    await load.stop()
    with pytest.raises(LoadError, match=r"loadgen\.regions: names no region"):
        await cloud.load(regions={}).start()


async def overlay(load: Load, tree: dict[str, Any]) -> None:
    env = load.tools.env
    await env.store.set(Keys.OVERLAY, json.dumps(tree))
    await env.live.reload()


async def test_settings_change_while_it_runs_and_bad_ones_are_refused(cloud: Cloud) -> None:
    load = cloud.load(table=only("codeql", share=1.0), jobs=1.0)
    await load.start()
    await asyncio.sleep(10.0)
    before = len(load.arrivals)
    await overlay(load, {"loadgen": {"regions": {"eastus": {"job_rate_per_s": 0.0}}, "runner_wait_s": 7.0}})
    await asyncio.sleep(10.0)
    assert len(load.arrivals) == before
    assert load.settings.runner_wait_s == 7.0
    await overlay(load, {"loadgen": {"runner_wait_s": -7.0}})
    assert load.settings.runner_wait_s == 7.0
    (refused,) = [event for event in cloud.events if event["kind"] == "settings_refused"]
    assert "loadgen.runner_wait_s: Input should be greater than 0 (got -7.0)" in refused["error"]
    await load.stop()


async def test_a_defect_of_a_journey_is_recorded_as_one(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    load = cloud.load(table=only("databricks", share=1.0), tokens=1.0)

    async def broken(*_args: Any) -> Any:
        raise KeyError("expires_on")

    monkeypatch.setattr(load.tools.identity, "token", broken)
    await run(load, 10)
    crashed = [event for event in cloud.events if event["kind"] == "journey_crashed"]
    assert crashed[0]["error"] == "KeyError('expires_on')"
    failed = cloud.operations(result="failed", code="LoadGeneratorError")
    assert len(failed) == len(crashed)
    assert load.tools.env.metrics.total("loadgen_operations_total", result="failed") == len(failed)
