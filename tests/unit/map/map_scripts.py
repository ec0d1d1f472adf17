"""A record that says what a test wants, second by second, and a runtime that notes when it is stalled."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from chaos.record.metric_names import ATTEMPTS, ENDED
from chaos.studies.map.probe import Trigger, _Enough
from services.chassis.background import Background
from services.chassis.clock import Clock

NODES = ("identity-eastus-1", "identity-eastus-2")
GOOD: Mapping[str, float] = {"ok": 10.0, "bad": 0.0, "started": 10.0, "queue": 0.0}
DOWN: Mapping[str, float] = {"ok": 0.0, "bad": 120.0, "started": 10.0, "queue": 240.0}
LIMPING: Mapping[str, float] = {"ok": 7.0, "bad": 3.0, "started": 8.0, "queue": 20.0}


class Script:
    """`increase` and `last` of a recorder over one state a second; second t is the one that ends at τ = t."""

    def __init__(self) -> None:
        self.seconds: dict[int, Mapping[str, float]] = {}
        self.events: list[dict[str, Any]] = []

    def increase(self, name: str, where: Any, start: float, end: float, by: Sequence[str] = ()) -> Any:
        window = [self.seconds.get(t, GOOD) for t in range(int(start) + 1, int(end) + 1)]
        ok, bad = sum(one["ok"] for one in window), sum(one["bad"] for one in window)
        if name == ATTEMPTS:
            return {("ok",): ok, ("timeout",): bad}
        if name == ENDED:
            return {("success",): ok, ("failed",): bad}
        return sum(one["started"] for one in window)

    def last(self, name: str, where: Any) -> float:
        return self.seconds[max(self.seconds)]["queue"]


class Nodes:
    """The part of a runtime that a stall uses."""

    def __init__(self) -> None:
        self.stalls: list[tuple[str, str, float]] = []

    def instances(self) -> list[Any]:
        specs = [SimpleNamespace(service="identity", name=name) for name in NODES]
        return [*specs, SimpleNamespace(service="router", name="router-eastus")]

    async def pause(self, name: str) -> None:
        self.stalls.append(("pause", name, asyncio.get_running_loop().time()))

    async def resume(self, name: str) -> None:
        self.stalls.append(("resume", name, asyncio.get_running_loop().time()))


async def play(trigger: Trigger, states: Mapping[range, Mapping[str, float]], seconds: int = 400) -> tuple[int, Nodes]:
    """Drives the trigger second by second; what no range covers is good. Gives the second it ended in."""
    script, nodes = Script(), Nodes()
    background = Background(Clock(asyncio.get_running_loop().time, 0.0), lambda kind, **fields: None)
    experiment: Any = SimpleNamespace(recorder=script, runtime=nodes, background=background)
    try:
        return await _play(trigger, experiment, script, nodes, states, seconds)
    finally:
        await background.stop()


async def _play(
    trigger: Trigger, experiment: Any, script: Script, nodes: Nodes, states: Mapping[range, Any], seconds: int
) -> tuple[int, Nodes]:
    origin = asyncio.get_running_loop().time()
    for t in range(seconds):
        await asyncio.sleep(origin + t - asyncio.get_running_loop().time())
        script.seconds[t] = next((state for when, state in states.items() if t in when), GOOD)
        try:
            trigger(experiment, float(t))
        except _Enough:
            nodes.stalls = [(what, name, at - origin) for what, name, at in nodes.stalls]
            return t, nodes
    raise AssertionError("the trigger never ended")
