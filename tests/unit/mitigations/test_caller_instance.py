"""One caller may have rules of its own: `instances.loadgen` is what tenants decide; provisioning does not follow."""

import pytest

from tests.unit.mitigations.caller_bench import OVERLOADED, Caller

ONE_ATTEMPT = {"identity_client": {"sdk": {"enabled": False}, "workflow": {"enabled": False}}}


@pytest.mark.parametrize(("instance", "attempts"), [("loadgen", 1), ("provisioner-eastus", 12)])
async def test_the_settings_of_an_instance_are_its_own(instance: str, attempts: int) -> None:
    caller = Caller()
    caller.env.live.tree = {"instances": {instance: ONE_ATTEMPT}}
    caller.service.failure = OVERLOADED
    assert (await caller.token()).failure == "shed"
    assert caller.attempts == attempts
