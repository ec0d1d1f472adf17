"""Scenario + runtime + seed → record: the one composition root, the same for all three runtimes.

It starts the testbed, lets load and recorder run, performs the timeline when its times come, and stops. It knows no
outcome: what the run showed is computed afterwards, from the record alone.
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
from chaos.experiment.signals import RecordedSignals
from chaos.faults.leases import FaultLeases
from chaos.record.machine import EVENT, STALLS, StallDetector, lost_s
from chaos.record.recorder import Recorder
from chaos.remediation.rollout import RemediationEnv
from chaos.remediation.workflow import RemediationWorkflow
from compose.runtime import Runtime, ScrapeTarget
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.endings import finish_all
from services.chassis.env import Peers
from services.chassis.events import Events
from services.chassis.loop_lag import LoopLag
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance
from services.chassis.streams import Streams

CONTROLLER = "controller"


class Observer(Protocol):
    """Somebody who watches a run: called once a bench second, after the sample."""

    def __call__(self, experiment: "Experiment", t: float) -> None: ...


@dataclass
class ControllerEnv:
    """The experiment's own instance: what the policy job and the operations report through."""

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
    """One run. `recorder` holds the record while it grows; `run()` returns when the scenario is over."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        make_recorder: Callable[[Clock, float], Recorder],
        *,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.plan = plan
        self.runtime = runtime
        self._make_recorder = make_recorder
        self._observers = observers
        self.recorder: Recorder | None = None
        self._attached: dict[str, ScrapeTarget] = {}
        self._env: ControllerEnv | None = None
        self._performer: Performer | None = None
        self._broken: asyncio.Future[None]
        self.metrics = Metrics()
        self._lag = LoopLag(runtime.clock, self.metrics)

    @property
    def background(self) -> Background:
        """For tasks of observers: they end with the run."""
        if self._env is None:
            raise RuntimeError("the run has not begun")
        return self._env.background

    @property
    def remediation(self) -> RemediationWorkflow | None:
        """The policy job that the timeline started; None before."""
        return self._performer.remediation if self._performer is not None else None

    async def run(self) -> None:
        """Runs the scenario to its end, or raises what stopped it; the record is closed in either case.

        Raises:
            UnhealthyBaseline: when fewer than 99 % of operations succeeded in the 20 s before the first action.
        """
        plan, runtime = self.plan, self.runtime
        plan.require_offered(runtime.name)
        early: list[dict[str, Any]] = []
        sink = _Sink(early)
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
                self._close_record,
                runtime.stop,
            )

    async def _stop_tasks(self) -> None:
        if self._env is not None:
            await self._env.background.stop()

    async def _take_last_lines(self) -> None:
        if self.recorder is not None and self.runtime.events_in_store:
            await self.recorder.drain(self.runtime.store)

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
        performer = self._performer = Performer(env, operations, faults, plan, RecordedSignals(recorder), zero_epoch_s)
        recorder.attach(Instance(CONTROLLER, "", CONTROLLER, ""), env.metrics)
        self._attach_new(recorder)
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

    def _attach_new(self, recorder: Recorder) -> None:
        alive = set()
        for target in self.runtime.targets():
            spec = target.spec
            alive.add(spec.name)
            if self._attached.get(spec.name) == target:
                continue  # a revived instance under an old name has other metrics, or another address
            self._attached[spec.name] = target
            instance = Instance(spec.service, spec.region, spec.name, target.url)
            if target.metrics is not None:
                recorder.attach(instance, target.metrics)
            else:
                recorder.attach_page(instance)
        for name in [name for name in self._attached if name not in alive]:
            del self._attached[name]
            recorder.detach(name)

    async def _sample(self, recorder: Recorder, env: RemediationEnv, zero_epoch_s: float) -> None:
        """One sample a bench second, on whole seconds of τ; alerts and observers see each at once."""
        stalls = StallWatch(recorder, env.events)
        alerts = AlertEvaluator(default_alerts(), recorder, env.events, pace=self.plan.scenario.detection_pace)
        second = -int(self.plan.warmup_s)
        while True:
            await self._until(recorder, second)
            self._attach_new(recorder)
            await recorder.sample()
            if self.runtime.clock.real:
                stalls.look()
            alerts.evaluate(float(second))
            for observer in self._observers:
                observer(self, float(second))
            second = max(second + 1, int(recorder.t()))

    async def _timeline(self, recorder: Recorder, performer: Performer, events: Events) -> None:
        """Performs the entries in order of time; entries of one instant in the scenario's order."""
        await self._until(recorder, -0.5)
        self._require_baseline(recorder, events)
        for entry in self.plan.timeline:
            await self._until(recorder, entry.t)
            action = entry.action
            events.emit("action", id=entry.id, action=action.do, parameters=action.parameters())
            acting = self.background.call(performer.perform(entry), f"action {entry.id}")
            acting.add_done_callback(self._break_with)

    def _break_with(self, task: asyncio.Task[None]) -> None:
        """An action that raises is a defect, and ends the run."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    def _require_baseline(self, recorder: Recorder, events: Events) -> None:
        fields, problem = baseline.require(recorder, CONTROLLER)
        events.emit("baseline", **fields)
        if problem is not None:
            raise problem


class StallWatch:
    """Tells when the machine stood still, from what the recorder just sampled."""

    def __init__(self, recorder: Recorder, events: Events) -> None:
        self._recorder = recorder
        self._events = events
        self._detector = StallDetector()
        self._last_t = recorder.t()

    def look(self) -> None:
        """Call it after each sample."""
        t = self._recorder.t()
        grown = self._recorder.increase(STALLS, {}, self._last_t, t, by=("instance",))
        self._last_t = t
        stall = self._detector.add(t, lost_s({name: seconds for (name,), seconds in grown.items()}, CONTROLLER))
        if stall is not None:
            self._events.emit(EVENT, stalled_s=round(stall.stalled_s, 3))


async def _first_failure(ending: asyncio.Future[None], others: Sequence[asyncio.Future[None]]) -> None:
    """Waits for `ending`, but an exception in any of the others ends the wait."""
    order = [ending, *others]
    waiting = set(order)
    while ending in waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in order:
            if each in done:
                each.result()


class _Sink:
    """Keeps the lines of instances that start before τ = 0 is known, then hands them on."""

    def __init__(self, early: list[dict[str, Any]]) -> None:
        self._early = early
        self._sink: Callable[[dict[str, Any]], None] = early.append

    def __call__(self, event: dict[str, Any]) -> None:
        self._sink(event)

    def redirect(self, sink: Callable[[dict[str, Any]], None]) -> None:
        for event in self._early:
            sink(event)
        self._early.clear()
        self._sink = sink
