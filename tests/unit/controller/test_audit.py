"""The audit over HTTP: what it counts, and what it says of a region that it could not list."""

from tests.unit.controller.controller_desk import Desk


async def test_an_audit_counts_what_is_private_and_names_whom_it_could_not_ask(desk: Desk) -> None:
    first = (await desk.call("GET", "/v1/operations/audit")).json()
    assert first["private_exempt"] == 0
    assert first["unreachable"] == []
    await desk.call("PUT", "/v1/regions/eastus/anonymous-access", {"enabled": False})
    second = (await desk.call("GET", "/v1/operations/audit")).json()
    assert second["private_exempt"] > 0
    assert second["public_exempt"] + second["private_exempt"] == first["public_exempt"]
    await desk.testbed.runtime.kill("blobstore-eastus")
    third = (await desk.call("GET", "/v1/operations/audit")).json()
    assert third["private_exempt"] == 0
    assert third["unreachable"] == ["eastus"], "nothing wrong was found because nobody was asked"
    assert third["accounts"] < first["accounts"]
