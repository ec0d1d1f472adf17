"""Every operation of the controller's API: performed, proven by its effect on the services, and taken back.

The keys are the routes that only an operator may call. A route without a performance here fails the tests.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from chaos.controller.routes.policy_insights import SCOPES, TYPE
from chaos.remediation.settings import POLICY
from chaos.remediation.workflow import UNDER_WAY
from tests.words.operator import ACCOUNT, BLOBSTORE, REGION, ROUTER, Operator

Route = tuple[str, str]
Performance = Callable[[Operator], Awaitable[None]]
ERRORS: dict[str, Any] = {
    "kind": "http_error",
    "target": {"instance": BLOBSTORE},
    "parameters": {"status": 500},
    "lease_s": 60,
}
HARMLESS: dict[str, Any] = {"inventory": {"defect": "none", "validate_targets": True}}
"""The policy job as it is on a calm day: no account of an extension becomes private."""


async def flips(path: str, op: Operator) -> None:
    await op.done("PUT", path, {"enabled": False})
    await op.shows(op.is_private, "anonymous access is off")
    await op.done("PUT", path, {"enabled": True})
    await op.shows(op.is_public, "anonymous access is on")


async def flips_everywhere(op: Operator) -> None:
    """Only on: switched off in all regions, it would be an incident."""
    await op.done("PUT", f"/v1/regions/{REGION}/anonymous-access", {"enabled": False})
    await op.shows(op.is_private, "anonymous access is off")
    await op.done("PUT", "/v1/anonymous-access", {"enabled": True})
    await op.shows(op.is_public, "anonymous access is on")


async def restores(op: Operator) -> None:
    await op.done("PUT", f"/v1/accounts/{ACCOUNT}/anonymous-access", {"enabled": False})
    await op.shows(op.is_private, "anonymous access is off")
    assert (await op.done("POST", "/v1/operations/restore", {"regions": [REGION]}))["restored"] == [ACCOUNT]
    await op.shows(op.is_public, "the account is restored")


async def injects_and_ends(op: Operator) -> None:
    fault = (await op.done("POST", "/v1/faults", ERRORS))["id"]
    await op.shows(op.is_private, "the fault has its effect")
    await op.done("DELETE", f"/v1/faults/{fault}")
    await op.shows(op.is_public, "the fault is over")


async def ends_all(op: Operator) -> None:
    for _ in range(2):
        await op.done("POST", "/v1/faults", ERRORS)
    await op.shows(op.is_private, "the faults have their effect")
    assert (await op.done("DELETE", "/v1/faults"))["ended"] == 2
    await op.shows(op.is_public, "the faults are over")
    assert (await op.done("GET", "/v1/faults"))["faults"] == []


async def sets_profile(op: Operator) -> None:
    before = await op.settings()
    await op.done("PUT", "/v1/load", {"profile": "rest"})
    await op.shows(op.differ(before), "the load rests")
    assert (await op.settings())["loadgen"] != before["loadgen"]
    await op.done("PUT", "/v1/load", {"profile": "base"})
    await op.shows(op.equal(before), "the load is the base load")


async def sets_load(op: Operator) -> None:
    async def silent() -> bool:
        return await op.load_factor() == 0.0

    await op.done("POST", "/v1/operations/load", {"region": REGION, "factor": 0})
    await op.shows(silent, "nobody comes")
    await op.done("POST", "/v1/operations/load", {"region": REGION, "factor": 1})
    assert await op.load_factor() == 1.0


async def switches(op: Operator) -> None:
    before = await op.settings()
    await op.done("PUT", "/v1/mitigations/X6", {"on": True})
    await op.shows(op.differ(before), "the settings are those of X6")
    await op.done("PUT", "/v1/mitigations/X6", {"on": False})
    await op.shows(op.equal(before), "the settings are as before")


async def scales(op: Operator) -> None:
    before = await op.nodes()
    await op.done("POST", "/v1/operations/scale", {"region": REGION, "count": 1})
    await op.shows(op.has_nodes(before + 1), "the router knows the added node", op.slow_s)
    await op.done("POST", "/v1/operations/scale", {"region": REGION, "count": -1})
    await op.shows(op.has_nodes(before), "the router knows that it is gone", op.slow_s)


async def repairs(op: Operator) -> None:
    for _ in range(20):
        await op.gets_tokens()
    before = await served(op)
    assert (await op.done("POST", "/v1/operations/repair", {"instance": ROUTER}))["state"] == "restarted"
    await op.shows(op.ready, "it is back", op.slow_s)
    assert await served(op) < before, "a new process counts from 0"


async def served(op: Operator) -> float:
    page = (await op.ask(ROUTER, "/metrics")).body.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("router_requests_total{"))


async def steers(op: Operator) -> None:
    path = f"/v1/regions/{REGION}/traffic"
    await op.done("PUT", path, {"mode": "drain"})
    await op.shows(op.gets_none, "nothing is admitted")
    await op.done("PUT", path, {"mode": "ramp", "from_fraction": 0.5, "to_fraction": 1.0, "over_s": 60})
    await op.shows(op.gets_tokens, "a part is admitted")
    assert (await op.traffic())["mode"] == "ramp"
    await op.done("PUT", path, {"mode": "open"})
    await op.shows(lambda: is_open(op), "everything is admitted")


async def is_open(op: Operator) -> bool:
    return bool((await op.traffic())["open"])


async def has_work(op: Operator) -> None:
    """A policy job without an account to change is complete at once, and cannot be cancelled."""
    await op.done("PUT", f"/v1/accounts/msdiag{REGION}/anonymous-access", {"enabled": True})


async def remediates(op: Operator) -> None:
    await has_work(op)
    assert (await op.done("POST", "/v1/remediation", HARMLESS))["provisioningState"] in UNDER_WAY
    assert (await op.call("POST", "/v1/remediation", HARMLESS)).status == 409, "it is under way"
    assert (await op.done("DELETE", "/v1/remediation"))["provisioningState"] == "Canceled"
    await op.undo()


async def remediates_as_azure(scope: str, op: Operator) -> None:
    place = scope.format(
        subscription="9a1e2b3c-0000-4000-8000-000000000001",
        resource_group="words",
        namespace="Microsoft.Management",
        management_group="words",
    )
    one, version = f"{place}/providers/{TYPE}/words", "?api-version=2021-10-01"
    properties = {
        "policyAssignmentId": f"{place}/providers/Microsoft.Authorization/policyAssignments/{POLICY}",
        "filters": {"locations": [REGION]},
    }
    await has_work(op)
    made = await op.done("PUT", one + version, {"properties": properties})
    assert made["properties"]["provisioningState"] in UNDER_WAY
    assert (await op.call("DELETE", one + version)).status == 409, "it is under way"
    stopped = await op.done("POST", f"{one}/cancel{version}")
    assert stopped["properties"]["provisioningState"] == "Canceled"
    await op.done("DELETE", one + version)
    assert (await op.call("GET", one + version)).status == 404
    await op.undo()


async def resets(op: Operator) -> None:
    await op.done("POST", "/v1/faults", ERRORS)
    await op.done("PUT", "/v1/mitigations/X6", {"on": True})
    await op.shows(op.is_private, "the fault has its effect")
    await op.done("POST", "/v1/reset")
    await op.shows(op.is_public, "the fault is over", op.slow_s)
    assert (await op.done("GET", "/v1/faults"))["faults"] == []
    assert not any(row["on"] for row in (await op.done("GET", "/v1/mitigations"))["mitigations"])


async def runs_and_aborts(op: Operator) -> None:
    started = await op.done("POST", "/v1/runs", {"scenario": "azure-fnj8-vqz-short"})
    assert started["state"] in ("starting", "running")
    assert (await op.done("DELETE", "/v1/runs/current"))["state"] == "aborted"


PERFORMED: dict[Route, Performance] = {
    ("PUT", "/v1/accounts/{account}/anonymous-access"): partial(flips, f"/v1/accounts/{ACCOUNT}/anonymous-access"),
    ("PUT", "/v1/regions/{region}/anonymous-access"): partial(flips, f"/v1/regions/{REGION}/anonymous-access"),
    ("PUT", "/v1/anonymous-access"): flips_everywhere,
    ("POST", "/v1/operations/restore"): restores,
    ("POST", "/v1/faults"): injects_and_ends,
    ("DELETE", "/v1/faults/{id}"): injects_and_ends,
    ("DELETE", "/v1/faults"): ends_all,
    ("PUT", "/v1/load"): sets_profile,
    ("POST", "/v1/operations/load"): sets_load,
    ("PUT", "/v1/mitigations/{id}"): switches,
    ("POST", "/v1/operations/scale"): scales,
    ("POST", "/v1/operations/repair"): repairs,
    ("PUT", "/v1/regions/{region}/traffic"): steers,
    ("POST", "/v1/remediation"): remediates,
    ("DELETE", "/v1/remediation"): remediates,
    **{
        (method, f"{scope}/providers/{TYPE}/{{name}}{end}"): partial(remediates_as_azure, scope)
        for scope in SCOPES.values()
        for method, end in (("PUT", ""), ("POST", "/cancel"), ("DELETE", ""))
    },
    ("POST", "/v1/runs"): runs_and_aborts,
    ("DELETE", "/v1/runs/current"): runs_and_aborts,
    ("POST", "/v1/reset"): resets,
}


def grouped(elsewhere: Collection[Route] = ()) -> list[tuple[Performance, list[Route]]]:
    """Each performance with the routes that it performs, without the routes `elsewhere`."""
    found: dict[Any, tuple[Performance, list[Route]]] = {}
    for route, performance in PERFORMED.items():
        key = (performance.func, performance.args) if isinstance(performance, partial) else performance
        if route not in elsewhere:
            found.setdefault(key, (performance, []))[1].append(route)
    return list(found.values())
