"""The status document of the testbed for the console, read from the services' metrics and APIs."""

import asyncio
from typing import Any

from chaos.controller.banner import banner, other_run_banner
from chaos.controller.testbed import Testbed
from compose.topology import REGIONAL
from services.chassis.clock import utc_text

TIMEOUT_S = 2.0


async def status(testbed: Testbed) -> dict[str, Any]:
    """The status: `banner` (see `chaos.controller.banner`), load, regions, run, policy job, faults and mitigations."""
    regions, faults = await asyncio.gather(_regions(testbed), testbed.faults.active())
    job = testbed.job
    return {
        "banner": _banner(testbed, [fault.id for fault in faults]),
        "load": {"profile": testbed.load_profile},
        "regions": regions,
        "run": testbed.latest_run.document() if testbed.latest_run else None,
        "remediation": job.status() if job else None,
        "faults": [fault.document() for fault in faults],
        "mitigations": sorted(testbed.mitigations),
    }


def _banner(testbed: Testbed, faults: list[str]) -> dict[str, Any] | None:
    other = testbed.other_run
    if other.owner and not testbed.resetting:
        return other_run_banner(other.owner, other.since)
    if not _is_idle(testbed):
        return None
    monitor = testbed.monitor
    return banner(testbed.runtime.clock.epoch(), monitor.down, monitor.stall, faults, testbed.scenario.displays)


def _is_idle(testbed: Testbed) -> bool:
    """Whether the monitor judges: neither a run, which has a verdict of its own, nor a reset is under way."""
    return not (testbed.resetting or testbed.run_is_on or testbed.other_run.owner)


async def _regions(testbed: Testbed) -> list[dict[str, Any]]:
    down = testbed.monitor.down if _is_idle(testbed) else {}
    regions = testbed.scenario.regions
    return list(await asyncio.gather(*(_region(testbed, it.name, it.display, down.get(it.name)) for it in regions)))


async def _region(testbed: Testbed, name: str, display: str, down_since: float | None) -> dict[str, Any]:
    accounts, reply = await asyncio.gather(
        testbed.operations.accounts.list(name),
        testbed.runtime.http.call(
            "GET", f"{testbed.runtime.peers.url('router', name)}/admin/traffic", timeout_s=TIMEOUT_S
        ),
    )
    exempt = [account for account in accounts or () if account.exempt]
    traffic = reply.json()["regions"].get(name, {}) if reply.ok else {}
    return {
        "name": name,
        "display": display,
        "reachable": accounts is not None and reply.ok,
        "exempt_public": sum(account.public for account in exempt),
        "exempt_private": sum(not account.public for account in exempt),
        "down_since": utc_text(down_since) if down_since is not None else None,
        "traffic": traffic.get("mode", "unknown"),
        "nodes": traffic.get("nodes", 0),
        "urls": {service: testbed.runtime.peers.url(service, name) for service in REGIONAL},
    }
