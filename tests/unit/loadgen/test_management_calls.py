"""Management calls: what is repeated and when, what is not, and how an accepted operation is followed."""

import pytest

from loadgen.site import Site
from services.clients.arm import Ended
from tests.unit.loadgen.loadgen_cloud import Cloud

PATH = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
FOREVER = 1e9


def attempts(site: Site, layer: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, pairs, number in site.tools.env.metrics.samples():
        labels = dict(pairs)
        if name == "loadgen_attempts_total" and labels["layer"] == layer:
            found[labels["outcome"]] = number
    return found


async def test_an_overloaded_service_is_tried_twelve_times_in_two_layers(cloud: Cloud) -> None:
    site, start = cloud.site(), cloud.now
    cloud.provisioner.refuse = (503, "ServerBusy")
    reply = await site.arm.send("PUT", PATH, {})
    # SDK: 0.25, 0.5 and 1 s between four attempts; workflow: 1 s between three tries.
    tries = [0.0, 0.25, 0.75, 1.75]
    assert [call.at - start for call in cloud.provisioner.calls] == [
        at + offset for offset in (0.0, 2.75, 5.5) for at in tries
    ]
    assert (reply.status, reply.code) == (503, "ServerBusy")
    assert attempts(site, "sdk") == {"shed": 12.0}
    assert attempts(site, "workflow") == {"shed": 3.0}


@pytest.mark.parametrize(("status", "code"), [(409, "PublicAccessNotPermitted"), (400, "InvalidParameter"), (404, "X")])
async def test_an_answer_is_not_repeated(cloud: Cloud, status: int, code: str) -> None:
    site = cloud.site()
    cloud.provisioner.refuse = (status, code)
    reply = await site.arm.send("PUT", PATH, {})
    assert (reply.status, reply.code, len(cloud.provisioner.calls)) == (status, code, 1)
    assert attempts(site, "sdk") == {"error": 1.0}
    assert await site.arm.follow(reply, FOREVER) == Ended("Failed", code)


async def test_an_unreachable_service_is_retried_and_named(cloud: Cloud) -> None:
    site, start = cloud.site(tenant="codeql"), cloud.now
    site.arm._base = "http://nowhere:8080"
    reply = await site.arm.send("PUT", PATH, {})
    assert (reply.code, cloud.now - start) == ("ConnectionRefused", 7.25)
    assert attempts(site, "sdk") == {"error": 12.0}


async def test_retries_are_off_when_the_settings_say_so(cloud: Cloud) -> None:
    site = cloud.site(sdk={"enabled": False}, workflow={"enabled": False})
    cloud.provisioner.refuse = (503, "ServerBusy")
    await site.arm.send("PUT", PATH, {})
    assert len(cloud.provisioner.calls) == 1


async def test_a_running_operation_is_polled_after_3_s_and_then_at_the_servers_interval(cloud: Cloud) -> None:
    site, start = cloud.site(), cloud.now
    cloud.provisioner.takes_s = 40.0
    ended = await site.arm.follow(await site.arm.send("PUT", PATH, {}), FOREVER)
    assert ended == Ended("Succeeded")
    assert [poll.at - start for poll in cloud.provisioner.polls] == [3.0, 18.0, 33.0, 48.0]
    assert site.tools.env.metrics.total("loadgen_polls_total", region="eastus", outcome="ok") == 4
    assert attempts(site, "sdk") == {"ok": 1.0}


async def test_following_ends_exactly_at_the_deadline(cloud: Cloud) -> None:
    site, start = cloud.site(), cloud.now
    cloud.provisioner.blocked = True
    ended = await site.arm.follow(await site.arm.send("PUT", PATH, {}), start + 25.5)
    assert (ended.status, cloud.now - start) == ("Waiting", 25.5)
    assert len(cloud.provisioner.polls) == 2


async def test_a_failed_operation_gives_its_code(cloud: Cloud) -> None:
    cloud.provisioner.error = "VMExtensionProvisioningError"
    site = cloud.site()
    ended = await site.arm.follow(await site.arm.send("PUT", PATH, {}), FOREVER)
    assert ended == Ended("Failed", "VMExtensionProvisioningError")


async def test_an_answer_without_operation_is_final(cloud: Cloud) -> None:
    site, start = cloud.site(), cloud.now
    assert await site.arm.follow(await site.arm.send("DELETE", PATH), FOREVER) == Ended("Succeeded")
    assert cloud.now == start
