"""Every action of a scenario: performed as an experiment does, and proven by its effect on the services.

The keys are the words that a timeline may say. An action without a performance here fails the tests.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, get_args

import pytest

from chaos.experiment.experiment import ControllerEnv
from chaos.experiment.operations import Operations
from chaos.experiment.performer import Performer
from chaos.experiment.plan import make_plan
from chaos.faults.leases import FaultLeases
from chaos.scenarios.actions import ACTIONS
from chaos.scenarios.model import Entry, Scenario
from services.chassis.events import Events
from services.chassis.streams import Streams
from tests.unit.parts.own_package import declare_templates
from tests.words.operator import ACCOUNT, BLOBSTORE, REGION, Operator

ACTOR = "words"


class NoSignals:
    """A rollout gate and a dashboard without input."""

    def failure_ratio(self, _region: str, _start_t: float, _end_t: float) -> None:
        return None

    def reading(self, _signal: str, _region: str, _over_s: float) -> None:
        return None


@dataclass
class Stage:
    """A performer in front of a running testbed, with what it has said."""

    op: Operator
    scenario: Scenario
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        runtime = self.op.runtime
        events = Events(self.events.append, runtime.clock, ACTOR)
        self.env = ControllerEnv(runtime, events, Streams(1, ACTOR))
        self.faults = FaultLeases(runtime, events, Random(1), self.env.background)
        self.performer = Performer(
            self.env,
            Operations(runtime, [region.name for region in self.scenario.regions], events),
            self.faults,
            make_plan(self.scenario, 1),
            NoSignals(),
            NoSignals(),
            runtime.clock.epoch(),
        )

    async def perform(self, do: str, id_: str = "A01", **parameters: Any) -> None:
        await self.performer.perform(Entry.model_validate({"id": id_, "at_s": 1, "do": do, **parameters}))
        assert self.said("action_failed") == []

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    async def close(self) -> None:
        await self.performer.close()
        await self.faults.close()
        await self.env.background.stop()


StagePerformance = Callable[[Stage], Awaitable[None]]


async def notes(stage: Stage) -> None:
    before = await stage.op.settings()
    await stage.perform("note", observe="Nothing happens.")
    assert await stage.op.settings() == before
    assert stage.events == []


async def disables_audits_and_restores(stage: Stage) -> None:
    op = stage.op
    await stage.perform("disable_accounts", regions=[REGION], accounts=[ACCOUNT])
    await op.shows(op.is_private, "the account is private")
    await stage.perform("audit_accounts")
    await stage.perform("restore_accounts", regions=[REGION])
    await op.shows(op.is_public, "the account is public")
    await stage.perform("audit_accounts")
    assert [event["private_exempt"] for event in stage.said("audit")] == [1, 0]


async def scales(stage: Stage) -> None:
    op = stage.op
    before = await op.nodes()
    await stage.perform("scale_identity", nodes={REGION: 1})
    (added,) = stage.said("identity_scaled")
    assert len(added["nodes"]) == 1
    await op.shows(op.has_nodes(before + 1), "the router knows the added node", op.slow_s)
    await op.runtime.remove_nodes(REGION, 1)
    await op.shows(op.has_nodes(before), "the router knows that it is gone", op.slow_s)


async def steers(stage: Stage) -> None:
    op = stage.op
    await stage.perform("drain", regions=[REGION])
    await op.shows(op.gets_none, "nothing is admitted")
    await stage.perform("ramp", regions=[REGION], from_fraction=0.5, to_fraction=1.0, over_s=60)
    await op.shows(op.gets_tokens, "a part is admitted")
    assert (await op.traffic())["mode"] == "ramp"
    await stage.perform("open", regions=[REGION])

    async def is_open() -> bool:
        return bool((await op.traffic())["mode"] == "open")

    await op.shows(is_open, "everything is admitted")


async def sets_load(stage: Stage) -> None:
    await stage.perform("set_load", region=REGION, factor=0.5)
    assert await stage.op.load_factor() == 0.5
    await stage.perform("set_load", region=REGION, factor=2, for_s=0.2)
    assert await stage.op.load_factor() == 1.0, "as it was, once its time is over"
    first = asyncio.create_task(stage.perform("set_load", region=REGION, factor=2, for_s=0.3))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(stage.perform("set_load", "A02", region=REGION, factor=3, for_s=1.0))
    await first
    assert await stage.op.load_factor() == 3.0, "the end of an earlier one does not end a later one"
    await second
    assert await stage.op.load_factor() == 1.0


async def mitigates(stage: Stage) -> None:
    op = stage.op
    await stage.perform("mitigate", off=["X6"])
    before = await op.settings()
    await stage.perform("mitigate", on=["X6"])
    await op.shows(op.differ(before), "the settings are those of X6")
    await stage.perform("mitigate", off=["X6"])
    await op.shows(op.equal(before), "the settings are as before")


async def injects_and_ends(stage: Stage) -> None:
    op = stage.op
    await stage.perform(
        "inject_fault",
        "F01",
        kind="http_error",
        target={"instance": BLOBSTORE},
        parameters={"status": 500},
        lease_s=60,
    )
    await op.shows(op.is_private, "the fault has its effect")
    await stage.perform("end_fault", fault="F01")
    await op.shows(op.is_public, "the fault is over")


async def remediates(stage: Stage) -> None:
    await stage.perform("start_remediation", inventory={"defect": "none", "validate_targets": True})
    job = stage.performer.remediation
    assert job is not None
    assert job.under_way
    await stage.perform("cancel_remediation")
    assert job.status()["provisioningState"] == "Canceled"
    await stage.op.undo()


async def performs_a_part(stage: Stage) -> None:
    op = stage.op

    async def is_halved() -> bool:
        return await op.load_factor() == 0.5

    with pytest.MonkeyPatch.context() as patch:
        declare_templates(patch)
        options = {"steps": 1, "pause_s": 1.0}
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.perform("own", part="own_action:ShedInSteps", options=options))
            await op.shows(is_halved, "the load is halved")
        assert await op.load_factor() == 1.0
        watched = {"service": "blobstore", "watch_s": 8, "region": REGION}
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.perform("own", part="own_action:CarefulFault", options=watched))
            await op.shows(op.is_private, "the part's fault has its effect")
    await op.shows(op.is_public, "the part has ended its fault")


PERFORMED: dict[str, StagePerformance] = {
    "note": notes,
    "disable_accounts": disables_audits_and_restores,
    "audit_accounts": disables_audits_and_restores,
    "restore_accounts": disables_audits_and_restores,
    "scale_identity": scales,
    "drain": steers,
    "ramp": steers,
    "open": steers,
    "set_load": sets_load,
    "mitigate": mitigates,
    "inject_fault": injects_and_ends,
    "end_fault": injects_and_ends,
    "start_remediation": remediates,
    "cancel_remediation": remediates,
    "own": performs_a_part,
}


def words() -> list[str]:
    """The words of a timeline, from the registry."""
    return [get_args(action.model_fields["do"].annotation)[0] for action in ACTIONS]
