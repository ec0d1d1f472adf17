"""Two small paired regions that are traced: a calm part, then one with too many users."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from chaos.experiment.plan import make_plan
from chaos.record.sampling import TracingSettings
from chaos.record.traces import TraceKeeper
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.topology import PORT
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import TransportKind, VirtualWorld
from services.chassis.access import SECRET_HEADER
from services.chassis.metrics import Metrics
from services.chassis.settings import Tree

TRACED = "traced"
"""The group of all tests that read these runs; one worker carries each out once."""
CALM_S, STORM_S, DEAD_S, AFTER_S = 10.0, 20.0, 1.0, 2.0
KILLED = "router-westus"
STORM_FACTOR = 4.0
REGIONS = ("eastus", "westus")
RATES = {"token_rate_per_s": 0.8, "job_rate_per_s": 0.1}
SETTINGS: Tree = {
    "loadgen": {"regions": dict.fromkeys(REGIONS, RATES), "ready_machines": 0, "warm_runners": 0},
    "identity": {"workers": 1, "service_time_s": 0.2},
}
"""A node serves five requests a second."""


@dataclass(frozen=True)
class TracedSpan:
    """A span as the file has it."""

    fields: Mapping[str, Any]
    instance: str

    @property
    def id(self) -> str:
        return str(self.fields["spanId"])

    @property
    def parent(self) -> str:
        return str(self.fields.get("parentSpanId", ""))

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def start(self) -> int:
        return int(self.fields["startTimeUnixNano"])

    @property
    def end(self) -> int:
        return int(self.fields["endTimeUnixNano"])

    @property
    def failed(self) -> bool:
        return bool(self.fields.get("status", {}).get("code") == 2)

    @cached_property
    def facts(self) -> dict[str, Any]:
        return {
            item["key"].removeprefix("aftershock."): _plain(item["value"]) for item in self.fields.get("attributes", ())
        }


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, given),) = value.items()
    return int(given) if kind == "intValue" else given


@dataclass(frozen=True)
class OneTrace:
    """A line of the file."""

    spans: tuple[TracedSpan, ...]

    @property
    def root(self) -> TracedSpan:
        (root,) = (span for span in self.spans if not span.parent)
        return root

    def named(self, name: str) -> list[TracedSpan]:
        return [span for span in self.spans if span.name == name]

    def outline(self) -> list[str]:
        """Names in the order of a walk from the root, indented by depth."""
        return list(self._walk(self.root, 0))

    def _walk(self, span: TracedSpan, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}{span.name}"
        for below in sorted((one for one in self.spans if one.parent == span.id), key=lambda one: (one.start, one.end)):
            yield from self._walk(below, depth + 1)


def read_traces(text: str) -> list[OneTrace]:
    return [OneTrace(tuple(spans_of(json.loads(line)))) for line in text.splitlines()]


def spans_of(document: Mapping[str, Any]) -> Iterator[TracedSpan]:
    for resource in document["resourceSpans"]:
        facts = {item["key"]: _plain(item["value"]) for item in resource["resource"]["attributes"]}
        for scope in resource["scopeSpans"]:
            for fields in scope["spans"]:
                yield TracedSpan(fields, facts["service.instance.id"])


@dataclass(frozen=True)
class Traced:
    """What one run left."""

    keeper: TraceKeeper | None
    events: tuple[str, ...]
    metrics: tuple[Metrics, ...]

    @property
    def text(self) -> str:
        return self.keeper.text() if self.keeper is not None else ""

    @cached_property
    def traces(self) -> list[OneTrace]:
        return read_traces(self.text)


@cache
def traced(transport: TransportKind = "direct", seed: int = 1, **settings: float) -> Traced:
    return live(transport, seed, TracingSettings(enabled=True, **settings))  # type: ignore[arg-type]


def live(transport: TransportKind, seed: int, settings: TracingSettings | None) -> Traced:
    world = VirtualWorld(seed=seed, transport=transport)
    events: list[str] = []
    keepers: list[TraceKeeper] = []
    metrics: list[Metrics] = []

    async def main() -> None:
        plain = VirtualRuntime(world)
        if settings is not None:
            keepers.append(TraceKeeper(settings, plain.clock))
        runtime = VirtualRuntime(world, keepers[0].tracing) if keepers else plain
        metrics.extend(await _pass_through_a_storm(runtime, seed, events))
        for keeper in keepers:
            keeper.close()

    world.run(main())
    return Traced(keepers[0] if keepers else None, tuple(events), tuple(metrics))


async def _pass_through_a_storm(runtime: VirtualRuntime, seed: int, events: list[str]) -> list[Metrics]:
    scenario = restrict(load("azure-fnj8-vqz-short"), list(REGIONS))
    nodes = tuple(region.model_copy(update={"identity_nodes": 1}) for region in scenario.regions)
    plan = make_plan(scenario.model_copy(update={"regions": nodes}), seed, overlays=[SETTINGS])
    await runtime.start(plan.topology, plan.settings, seed, lambda event: events.append(json.dumps(event)))
    await _tell_load(runtime, "start", {})
    await asyncio.sleep(CALM_S)
    for region in REGIONS:
        await _tell_load(runtime, "load", {"region": region, "factor": STORM_FACTOR})
    await asyncio.sleep(STORM_S)
    await runtime.kill(KILLED)
    await asyncio.sleep(DEAD_S)
    await runtime.revive(KILLED)
    await asyncio.sleep(AFTER_S)
    metrics = [env.metrics for _, env, _ in runtime.applications()]
    await runtime.stop_instances()
    return metrics


async def _tell_load(runtime: VirtualRuntime, what: str, body: dict[str, Any]) -> None:
    headers = {SECRET_HEADER: runtime.secret}
    reply = await runtime.http.call(
        "POST", f"http://loadgen:{PORT}/admin/{what}", json=body, headers=headers, timeout_s=5.0
    )
    assert reply.ok
