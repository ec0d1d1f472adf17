"""Scenario + runtime + seed → record: the composition root of a run, the same for all three runtimes.

It starts the testbed, the load and the recorder, performs the timeline, and stops. It does not judge: results are
computed afterwards, from the record alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chaos.experiment import baseline
from chaos.experiment.alerts import AlertEvaluator, default_alerts
from chaos.experiment.operations import Operations
from chaos.experiment.performer import Performer
from chaos.experiment.plan import Plan
from chaos.experiment.signals import SampledDashboard, SampledSignals
from chaos.faults.leases import FaultLeases
from chaos.record.machine import EVENT, StallWatch
from chaos.record.recorder import Recorder
from chaos.remediation.rollout import RemediationEnv
from chaos.remediation.workflow import RemediationWorkflow
from compose.runtime import Runtime
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.endings import finish_all
from services.chassis.env import Peers
from services.chassis.events import Events, Sink
from services.chassis.loop_lag import LoopLag
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance
from services.chassis.streams import Streams

CONTROLLER = "controller"


class Observer(Protocol):
    """A callback called once per bench second, after the sample."""

    def __call__(self, experiment: "Experiment", t: float) -> None: ...


class Traces(Protocol):
    """The traces of a run."""

    def close(self) -> None:
        """No further span is taken."""


@dataclass
class ControllerEnv:
    """The environment of the controller instance, used by the policy job and the operations."""

    runtime: Runtime
    events: Events
    streams: Streams
    metrics: Metrics = field(default_factory=Metrics)
    background: Background = field(init=False)

    def __post_init__(self) -> None:
        self.background = Background(self.runtime.clock, self.events.emit)

    @property
    def http(self) -> Any:
        return self.runtime.http

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    @property
    def peers(self) -> Peers:
        return self.runtime.peers


class Experiment:
    """One run. `recorder` has the record so far; `run()` returns at the end of the scenario."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        make_recorder: Callable[[Clock, float], Recorder],
        *,
        observers: Sequence[Observer] = (),
        traces: Traces | None = None,
    ) -> None:
        """`traces` is closed with the record."""
        self.plan = plan
        self.traces = traces
        self.runtime = runtime
        self._make_recorder = make_recorder
        self._observers = observers
        self.recorder: Recorder | None = None
        self._env: ControllerEnv | None = None
        self._performer: Performer | None = None
        self._broken: asyncio.Future[None]
        self.metrics = Metrics()
        self._lag = LoopLag(runtime.clock, self.metrics)

    @property
    def background(self) -> Background:
        """For tasks of observers; they are cancelled at the end of the run."""
        if self._env is None:
            raise RuntimeError("the run has not started")
        return self._env.background

    @property
    def remediation(self) -> RemediationWorkflow | None:
        """The policy job started by the timeline; None before."""
        return self._performer.remediation if self._performer is not None else None

    async def run(self) -> None:
        """Runs the scenario to its end. The record is closed in any case.

        Raises:
            UnhealthyBaseline: the testbed was not healthy in the 20 s before the first action.
            RuntimeUnavailable: the runtime cannot run this plan, could not start, or was lost to another run.
        """
        plan, runtime = self.plan, self.runtime
        plan.require_offered(runtime.name)
        sink = _Sink()
        self._lag.start()
        try:
            await runtime.start(plan.topology, plan.settings, plan.seed, sink)
            zero_epoch_s = runtime.clock.epoch() + plan.warmup_s
            recorder = self.recorder = self._make_recorder(runtime.clock, zero_epoch_s)
            sink.redirect(recorder.event)
            await self._run(recorder, zero_epoch_s)
        finally:
            await finish_all(
                self._lag.stop,
                self._stop_tasks,
                runtime.stop_instances,
                self._take_last_lines,
                self._close_traces,
                self._close_record,
                runtime.stop,
            )

    async def _stop_tasks(self) -> None:
        if self._env is not None:
            await self._env.background.stop()

    async def _take_last_lines(self) -> None:
        if self.recorder is not None and self.runtime.events_in_store:
            await self.recorder.drain(self.runtime.store)

    def _close_traces(self) -> None:
        if self.traces is not None:
            self.traces.close()

    def _close_record(self) -> None:
        if self.recorder is not None:
            self.recorder.close()

    async def _run(self, recorder: Recorder, zero_epoch_s: float) -> None:
        plan, runtime = self.plan, self.runtime
        events = Events(recorder.event, runtime.clock, CONTROLLER)
        env = self._env = ControllerEnv(runtime, events, Streams(plan.seed, CONTROLLER), self.metrics)
        call = env.background.call
        self._broken = asyncio.get_running_loop().create_future()
        operations = Operations(runtime, plan.topology.names, events)
        faults = FaultLeases(runtime, events, env.streams["faults"], env.background)
        signals, dashboard = SampledSignals(recorder), SampledDashboard(recorder, recorder.t)
        performer = self._performer = Performer(env, operations, faults, plan, signals, dashboard, zero_epoch_s)
        recorder.attach(Instance(CONTROLLER, "", CONTROLLER, ""), env.metrics)
        recorder.sampler.follow(runtime.targets())
        if runtime.events_in_store:
            env.background.keep(lambda: recorder.follow(runtime.store), "event reader")
        await operations.start_load(runtime.clock.epoch(), zero_epoch_s)
        sampling = call(self._sample(recorder, env, zero_epoch_s), "recorder")
        timeline = call(self._timeline(recorder, performer, events), "timeline")
        holding = call(runtime.until_lost(), "hold on the testbed")
        ending = call(self._until(recorder, plan.duration_s), "end of the scenario")
        try:
            await _first_failure(ending, (sampling, timeline, self._broken, holding))
        finally:
            self._broken.cancel()
            await performer.close()
        await operations.stop_load()
        await recorder.sample()

    async def _until(self, recorder: Recorder, t: float) -> None:
        await asyncio.sleep(max(0.0, t - recorder.t()))

    async def _sample(self, recorder: Recorder, env: RemediationEnv, zero_epoch_s: float) -> None:
        """One sample per bench second, at whole seconds of τ; then alerts and observers."""
        stalls = StallWatch(recorder, CONTROLLER, recorder.t())
        alerts = AlertEvaluator(default_alerts(), recorder, env.events, pace=self.plan.scenario.detection_pace)
        second = -int(self.plan.warmup_s)
        while True:
            await self._until(recorder, second)
            recorder.sampler.follow(self.runtime.targets())
            await recorder.sample()
            if self.runtime.clock.real:
                self._look_at_machine(stalls, recorder.t(), env.events)
            alerts.evaluate(float(second))
            for observer in self._observers:
                observer(self, float(second))
            second = max(second + 1, int(recorder.t()))

    def _look_at_machine(self, stalls: StallWatch, t: float, events: Events) -> None:
        stall = stalls.look(t)
        if stall is not None:
            events.emit(EVENT, stalled_s=round(stall.stalled_s, 3))

    async def _timeline(self, recorder: Recorder, performer: Performer, events: Events) -> None:
        """Performs the entries in order of time; entries at the same time in the scenario's order."""
        await self._until(recorder, -0.5)
        self._require_baseline(recorder, events)
        for entry in self.plan.timeline:
            await self._until(recorder, entry.t)
            action = entry.action
            events.emit("action", id=entry.id, action=action.do, parameters=action.parameters())
            acting = self.background.call(performer.perform(entry), f"action {entry.id}")
            acting.add_done_callback(self._break_with)

    def _break_with(self, task: asyncio.Task[None]) -> None:
        """An unexpected exception in an action is a defect and ends the run."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _require_baseline(self, recorder: Recorder, events: Events) -> None:
        fields, problem = baseline.require(recorder, CONTROLLER)
        events.emit("baseline", **fields)
        if problem is not None:
            raise problem


async def _first_failure(ending: asyncio.Future[None], others: Sequence[asyncio.Future[None]]) -> None:
    """Waits for `ending`; raises the exception of any of the others as soon as it fails."""
    order = [ending, *others]
    waiting = set(order)
    while ending in waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in order:
            if each in done:
                each.result()


class _Sink:
    """Buffers event lines until τ = 0 is known, then forwards them."""

    def __init__(self) -> None:
        self._early: list[dict[str, Any]] = []
        self._sink = self._early.append

    def __call__(self, event: dict[str, Any]) -> None:
        self._sink(event)

    def redirect(self, sink: Sink) -> None:
        for event in self._early:
            sink(event)
        self._early.clear()
        self._sink = sink
