"""One probe: all identity nodes of a healthy region are stalled for some seconds at constant load.

Two questions are then answered from the record of callers and nodes:

    did it tip?        fewer than half of the attempts succeed over the 10 s from 5 s after the end of the stall
    is it back?        over some 10 s at least 90 % of attempts and of operations succeed, with at most 1.2 attempts per
                       operation and at most five queued requests; within `watch_s` after the stall, or within three
                       times that for a recovering region (more than half of the attempts succeed over 20 s)

The thresholds are those of SREGym's metastability oracle (conformance, section 2.2). As there, a recovery counts only
if the region then also recovers from a second stall of the same length. The run ends as soon as both answers are known.
"""

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from chaos.experiment.baseline import OPERATIONS_MIN
from chaos.experiment.experiment import Experiment
from chaos.experiment.plan import Plan
from chaos.experiment.runs import Finished, TransportName, carry_out
from chaos.record.metric_names import ATTEMPTS, ENDED, STARTED
from chaos.record.recorder import Recorder
from compose.runtime import Runtime
from compose.topology import SCALABLE

End = Literal["recovered", "returned", "stayed", "failing", "unmeasured"]

TRANSPORT: TransportName = "direct"
WINDOW_S, AFTER_S = 10.0, 5.0
TIPPED_MAX = 0.5
BACK_SUCCESS_MIN, BACK_AMPLIFICATION_MAX, BACK_QUEUE_MAX = 0.9, 1.2, 5.0
SHOTS = 2
BASE_S = 20.0
PATIENCE = 3
QUEUE_METRIC = "identity_queue_length"


@dataclass(frozen=True)
class ProbeReading:
    """Measurements of the callers over a window, and the queue at its end."""

    success: float
    """Success ratio of attempts."""
    operation_success: float
    amplification: float
    """Attempts per operation started."""
    operations_per_s: float
    attempts_per_s: float
    queue: float

    def is_good(self, size: float) -> bool:
        return (
            min(self.success, self.operation_success) >= BACK_SUCCESS_MIN
            and self.amplification <= BACK_AMPLIFICATION_MAX
            and self.queue <= BACK_QUEUE_MAX * size
        )


@dataclass(frozen=True)
class Probe:
    """The outcome of one stall.

    `end`: `recovered` without tipping, `returned` after it, `stayed` down, `failing` before the stall, or `unmeasured`.
    """

    stall_s: float
    end: End
    problem: str = ""
    shots: int = 0
    """Number of stalls: two if the region recovered from the first."""
    success_after: float | None = None
    """Attempt success over the 10 s from 5 s after the stall; the lower of both stalls."""
    back_after_s: float | None = None
    """Seconds from the end of the stall to the start of ten healthy seconds; the longer of both stalls."""
    before: ProbeReading | None = None
    last: ProbeReading | None = None
    """Over the last 10 s of the probe, or the last 20 s if the region is down."""


class _Enough(Exception):
    """Raised to end the run when both questions are answered."""


def probe(plan: Plan, stall_s: float, watch_s: float) -> Probe:
    """Runs the plan in virtual time, with the stall.

    At most two stalls, each observed for at most 3 × `watch_s`; the scenario must be long enough.
    """
    trigger = Trigger(stall_s, watch_s, plan.scenario.size)
    with suppress(_Enough):
        finished = carry_out(plan, transport=TRANSPORT, observers=[trigger])
        if finished.interrupted:
            raise KeyboardInterrupt
        return _not_begun(stall_s, finished)
    return trigger.result()


def _not_begun(stall_s: float, finished: Finished) -> Probe:
    """The result for a region that was not healthy at the start, or had too few operations to tell."""
    events = finished.recorder.events if finished.recorder is not None else []
    operations = next((event["operations"] for event in events if event["kind"] == "baseline"), 0)
    end: End = "failing" if operations >= OPERATIONS_MIN else "unmeasured"
    return Probe(stall_s, end, finished.problem or "the scenario is too short for it")


class Trigger:
    """An observer that stalls the region, observes it, and stalls it again."""

    def __init__(self, stall_s: float, watch_s: float, size: float = 1.0) -> None:
        self._stall_s, self._watch_s, self._size = stall_s, watch_s, size
        self._over = math.inf
        self._success: list[float] = []
        self._back: list[float] = []
        self._back_here: float | None = None
        self._before: ProbeReading | None = None
        self._last: ProbeReading | None = None
        self._shots = 0

    def __call__(self, experiment: Experiment, t: float) -> None:
        recorder = experiment.recorder
        if t < 0 or recorder is None:
            return
        if self._shots == 0:
            self._before = read(recorder, t - BASE_S, t)
            self._shoot(experiment, t)
            return
        self._look(recorder, t)
        if self._back_here is not None and len(self._success) == self._shots:
            self._back.append(self._back_here)
            if self._shots == SHOTS:
                raise _Enough
            self._shoot(experiment, t)
        elif t >= self._over + self._watch_s and (self._is_down(recorder, t) or t >= self._longest):
            self._last = read(recorder, t - BASE_S, t)
            raise _Enough

    def _shoot(self, experiment: Experiment, t: float) -> None:
        self._shots += 1
        self._back_here = None
        self._over = math.ceil(t + self._stall_s)
        experiment.background.once(stall(experiment.runtime, self._stall_s), "stall")

    @property
    def _longest(self) -> float:
        return self._over + PATIENCE * self._watch_s

    @staticmethod
    def _is_down(recorder: Recorder, t: float) -> bool:
        return read(recorder, t - BASE_S, t).success <= TIPPED_MAX

    def _look(self, recorder: Recorder, t: float) -> None:
        since = t - self._over
        if since < WINDOW_S:
            return
        self._last = read(recorder, t - WINDOW_S, t)
        if self._back_here is None and self._last.is_good(self._size):
            self._back_here = since - WINDOW_S
        if since >= AFTER_S + WINDOW_S and len(self._success) < self._shots:
            self._success.append(read(recorder, self._over + AFTER_S, self._over + AFTER_S + WINDOW_S).success)

    def result(self) -> Probe:
        tipped = min(self._success) <= TIPPED_MAX
        stayed = len(self._back) < SHOTS
        return Probe(
            stall_s=self._stall_s,
            end="stayed" if stayed else "returned" if tipped else "recovered",
            shots=self._shots,
            success_after=min(self._success),
            back_after_s=None if stayed else max(self._back),
            before=self._before,
            last=self._last,
        )


async def stall(runtime: Runtime, stall_s: float) -> None:
    """Pauses all identity nodes for `stall_s` seconds; they resume with the requests that arrived meanwhile."""
    nodes = [spec.name for spec in runtime.instances() if spec.service == SCALABLE]
    try:
        for name in nodes:
            await runtime.pause(name)
        await asyncio.sleep(stall_s)
    finally:
        for name in nodes:
            await runtime.resume(name)


def read(recorder: Recorder, start: float, end: float) -> ProbeReading:
    """The measurements of a window of the record; ratios are 0 without attempts."""
    attempts = recorder.increase(ATTEMPTS, {"layer": "sdk"}, start, end, by=("outcome",))
    results = recorder.increase(ENDED, {}, start, end, by=("result",))
    started = recorder.increase(STARTED, {}, start, end) or 0.0
    tried, ended = sum(attempts.values()), sum(results.values())
    return ProbeReading(
        success=attempts.get(("ok",), 0.0) / tried if tried else 0.0,
        operation_success=results.get(("success",), 0.0) / ended if ended else 0.0,
        amplification=tried / started if started else 0.0,
        operations_per_s=started / (end - start),
        attempts_per_s=tried / (end - start),
        queue=recorder.last(QUEUE_METRIC, {}) or 0.0,
    )
