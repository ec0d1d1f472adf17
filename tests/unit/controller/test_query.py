"""Query parameters: each route declares its own; anything else is refused before anything is done."""

import re

from tests.unit.controller.controller_desk import TOKENS, Desk

FAULT = {"kind": "crash", "target": {"instance": "blobstore-eastus"}, "lease_s": 60}
POLICY = "/subscriptions/s/providers/Microsoft.PolicyInsights/remediations"


async def calls(desk: Desk) -> list[tuple[str, str]]:
    """Every method and path of the API."""
    paths = (await desk.call("GET", "/openapi.json", token="")).json()["paths"]
    found = [(method.upper(), re.sub(r"{\w+}", "x", path)) for path, methods in paths.items() for method in methods]
    return [*found, ("GET", "/openapi.json")]


async def test_an_unknown_query_parameter_is_refused_by_every_route_and_named(desk: Desk) -> None:
    every = await calls(desk)
    assert len(every) > 40
    for method, path in every:
        token = TOKENS.project if path == "/alerts" else TOKENS.operate
        reply = await desk.call(method, f"{path}?zz=1", token=token)
        assert reply.status == 422, (method, path, reply.body)
        error = reply.json()["error"]
        assert (error["code"], error["target"]) == ("invalid_query", "query.zz"), (method, path)
    assert (await desk.call("GET", "/v1/status")).json()["faults"] == [], "and nothing was done"


MISSPELT = {
    "dry_run": "query.dry_run",
    "dry_run=": "query.dry_run",
    "dry_run=maybe": "query.dry_run",
    "dry_run=2": "query.dry_run",
    "dryRun=1": "query.dryRun",
    "DRY_RUN=1": "query.DRY_RUN",
    "dry-run=1": "query.dry-run",
    "dry_run=1&dry_run=0": "query.dry_run",
}


async def test_a_dry_run_that_is_misspelt_injects_nothing(desk: Desk) -> None:
    for query, field in MISSPELT.items():
        reply = await desk.call("POST", f"/v1/faults?{query}", FAULT)
        assert reply.status == 422, query
        assert field in reply.json()["error"]["message"], query
        assert (await desk.call("GET", "/v1/faults")).json() == {"faults": []}, query


async def test_a_flag_has_two_spellings_for_each_side(desk: Desk) -> None:
    for value, status in (("1", 200), ("true", 200), ("True", 200), ("0", 201), ("false", 201)):
        assert (await desk.call("POST", f"/v1/faults?dry_run={value}", FAULT)).status == status, value


async def test_two_runs_to_compare_have_to_be_named(desk: Desk) -> None:
    reply = await desk.call("GET", "/v1/runs/compare?left=a")
    assert reply.status == 422
    assert "query.right" in reply.json()["error"]["message"]


async def test_a_policy_call_without_a_version_is_refused_as_azure_does(desk: Desk) -> None:
    reply = await desk.call("GET", POLICY)
    assert (reply.status, reply.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    assert (await desk.call("GET", f"{POLICY}?api-version=2021-10-01")).status == 200
