"""The testbed as people start it, and what the compose runtime does to its containers."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from compose.docker import DockerRuntime
from compose.render import load_scenario, stack, stack_settings
from compose.runtime import Cut
from compose.topology import node
from services.chassis.http import HttpReply
from services.chassis.registry import Registry
from services.chassis.stored import Stored
from tests.system.system_desk import ALERTMANAGER, CONTROLLER, PROMETHEUS, dashboard_queries
from tests.system.system_testbed import ROOT, TOKENS, Stack
from tests.words.operator import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
HEALTHY_S, FOUND_S = 30.0, 10.0
TREE = stack_settings(load_scenario(), stack())


def url_of(runtime: DockerRuntime, name: str) -> str:
    return next(target.url for target in runtime.targets() if target.spec.name == name)


async def ask(runtime: DockerRuntime, name: str, path: str = "/readyz", timeout_s: float = 2.0) -> HttpReply:
    return await runtime.http.call("GET", url_of(runtime, name) + path, timeout_s=timeout_s)


async def is_ready(runtime: DockerRuntime, name: str) -> bool:
    return (await ask(runtime, name)).ok


async def query(runtime: DockerRuntime, expression: str) -> HttpReply:
    url = f"{PROMETHEUS}/api/v1/query?query={quote(expression)}"
    return await runtime.http.call("GET", url, timeout_s=5.0)


# The testbed


async def test_every_container_is_healthy(testbed: Stack) -> None:
    states = {line["Service"]: (line["State"], line["Health"]) for line in testbed.containers()}
    assert set(states) == set(testbed.services())

    async def healthy() -> bool:  # whoever was restarted by an earlier test is first "starting"
        return {(line["State"], line["Health"]) for line in testbed.containers()} == {("running", "healthy")}

    await eventually(healthy, within_s=HEALTHY_S, what="every container is running and healthy")


def test_nothing_is_published_beyond_loopback(testbed: Stack) -> None:
    published = {p["URL"] for line in testbed.containers() for p in line["Publishers"] if p["PublishedPort"]}
    assert published == {"127.0.0.1"}


def test_containers_run_as_nobody_on_a_read_only_file_system(testbed: Stack) -> None:
    script = "import os, sys; print(os.getuid()); open('/app/x', 'w')"
    done = subprocess.run(
        ["docker", "compose", "exec", "-T", "router-eastus", "python", "-c", script],
        cwd=ROOT,
        env=testbed.environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "10001"
    assert "Read-only file system" in done.stderr


def test_prometheus_and_alertmanager_accept_their_configuration(testbed: Stack) -> None:
    checks = {
        "prometheus": ["/bin/promtool", "check", "config", "/etc/prometheus/prometheus.yml"],
        "alertmanager": ["/bin/amtool", "check-config", "/etc/alertmanager/alertmanager.yml"],
    }
    for service, command in checks.items():
        assert "SUCCESS" in testbed.compose("exec", "-T", service, *command)


async def test_prometheus_understands_every_query_of_the_dashboards(runtime: DockerRuntime) -> None:
    for name, expression in dashboard_queries(ROOT):
        reply = await query(runtime, expression)
        assert reply.ok, f"{name}: {reply.body.decode()}"


async def test_prometheus_scrapes_every_instance_once_a_second(runtime: DockerRuntime) -> None:
    await asyncio.sleep(10)
    reply = await query(runtime, 'sum by (instance) (count_over_time(up{job="aftershock"}[8s]))')
    samples = {line["metric"]["instance"]: float(line["value"][1]) for line in reply.json()["data"]["result"]}
    assert set(samples) == {spec.name for spec in stack().instances()}
    assert min(samples.values()) >= 7


async def test_an_alert_goes_by_alertmanager_to_the_controller(runtime: DockerRuntime) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['AFTERSHOCK_READ_TOKEN']}"}
    alert = {"labels": {"alertname": "RaisedByTest", "region": "eastus", "severity": "ticket"}}
    async with runtime.http.session.get(f"{CONTROLLER}/v1/events", headers=headers) as events:
        reply = await runtime.http.call("POST", f"{ALERTMANAGER}/api/v2/alerts", json=[alert], timeout_s=5.0)
        assert reply.ok
        async with asyncio.timeout(10):
            async for line in events.content:
                if b"RaisedByTest" in line:
                    return


async def test_a_killed_process_comes_back_by_itself(testbed: Stack, runtime: DockerRuntime) -> None:
    await runtime.engine.kill_process(await runtime.engine.find("router-northeurope"))
    await eventually(lambda: is_ready(runtime, "router-northeurope"), within_s=30)
    assert testbed.restarts("router-northeurope") == 1


# What the runtime does


async def test_added_nodes_serve_are_discovered_and_are_removed_again(runtime: DockerRuntime) -> None:
    registry = Registry(runtime.store, Stored(lambda _kind, **_fields: None), runtime.clock)

    async def nodes() -> list[str]:
        return [instance.name for instance in await registry.live("identity", "northeurope")]

    before = await nodes()
    added = list(await runtime.add_nodes("northeurope", 2))
    assert added == [node("northeurope", 3), node("northeurope", 4)]
    assert b"identity_workers" in (await ask(runtime, "identity-northeurope-4", "/metrics")).body

    async def all_live() -> bool:
        return set(await nodes()) == {*before, *(spec.name for spec in added)}

    await eventually(all_live, within_s=10)
    assert list(await runtime.remove_nodes("northeurope", 2)) == added
    await eventually(_equals(nodes, before), within_s=10)
    assert all(c.name not in {spec.name for spec in added} for c in await runtime.engine.containers())


async def test_prometheus_finds_an_added_node(runtime: DockerRuntime) -> None:
    await runtime.add_nodes("northeurope", 1)

    async def scraped() -> bool:
        reply = await query(runtime, 'up{instance="identity-northeurope-3"} == 1')
        return bool(reply.json()["data"]["result"])

    print(f"found after {await eventually(scraped, within_s=FOUND_S):.1f} s")


def _equals(read: Callable[[], Awaitable[object]], wanted: object) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return await read() == wanted

    return probe


async def test_a_killed_instance_stays_down_until_it_is_revived(runtime: DockerRuntime) -> None:
    await runtime.kill("router-westus")
    assert (await ask(runtime, "router-westus")).status == 0
    await asyncio.sleep(2.0)
    assert (await ask(runtime, "router-westus")).status == 0, "the restart policy must not undo a kill"
    await runtime.revive("router-westus")
    assert await is_ready(runtime, "router-westus")


async def test_a_paused_instance_hangs_and_goes_on(runtime: DockerRuntime) -> None:
    await runtime.pause("router-westus")
    assert (await ask(runtime, "router-westus", timeout_s=1.0)).failure == "timeout"
    await runtime.resume("router-westus")
    assert await is_ready(runtime, "router-westus")


async def test_a_stalled_store_delays_its_clients_and_recovers(runtime: DockerRuntime) -> None:
    await runtime.stall_store(60.0)
    assert (await ask(runtime, "router-westus", timeout_s=1.0)).failure == "timeout"
    assert (await ask(runtime, "router-westus", "/healthz", timeout_s=1.0)).ok, "alive, but not ready"
    await runtime.stall_store(0.0)
    await eventually(lambda: is_ready(runtime, "router-westus"), within_s=10)


async def test_the_controller_ends_a_stall_whose_process_is_gone(runtime: DockerRuntime) -> None:
    await runtime.stall_store(1.0)
    assert (await ask(runtime, "router-westus", timeout_s=1.0)).failure == "timeout"
    await eventually(lambda: is_ready(runtime, "router-westus"), within_s=15)


async def test_a_cpu_limit_is_on_the_container_and_off_again(testbed: Stack, runtime: DockerRuntime) -> None:
    await runtime.cpu_limit("identity-eastus-1", 0.25)
    assert testbed.inspect("identity-eastus-1", "{{.HostConfig.CpuQuota}}") == "25000"
    await runtime.cpu_limit("identity-eastus-1", None)
    assert int(testbed.inspect("identity-eastus-1", "{{.HostConfig.CpuQuota}}")) <= 0


async def test_a_partition_cuts_one_pair_and_no_other(runtime: DockerRuntime) -> None:
    assert await is_ready(runtime, "router-eastus")
    await runtime.partition("router-eastus", [Cut("f1", "redis", 60.0)])
    assert (await ask(runtime, "router-eastus", timeout_s=1.5)).failure == "timeout", "its open connection is cut too"
    assert (await ask(runtime, "router-eastus", "/healthz")).ok
    assert await is_ready(runtime, "router-westus")
    await runtime.partition("router-eastus", [])
    await eventually(lambda: is_ready(runtime, "router-eastus"), within_s=10)


async def test_a_partition_ends_with_its_lease_when_nobody_ends_it(runtime: DockerRuntime) -> None:
    await runtime.partition("router-eastus", [Cut("f1", "redis", 4.0)])
    assert (await ask(runtime, "router-eastus", timeout_s=1.5)).failure == "timeout"
    await eventually(lambda: is_ready(runtime, "router-eastus"), within_s=15)

    async def helper_is_gone() -> bool:
        return not any(container.partition for container in await runtime.engine.containers())

    await eventually(helper_is_gone, within_s=5)
