"""Monitoring of the idle testbed: its metrics once a second, as the recorder of a run samples them.

Key figures, collapse detection, stall detection and the gate of a policy job started through the API all query these
samples. During a run its recorder samples, and this pauses.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

from chaos.controller.collapse import CollapseWatch
from chaos.experiment.experiment import CONTROLLER
from chaos.progress.glance import FAMILIES, Glance, glance
from chaos.record.machine import EVENT, STALLS, Stall, StallWatch
from chaos.record.sampler import Sampler
from chaos.record.series import SeriesTable
from compose.runtime import Runtime
from compose.topology import LOADGEN, SCALABLE
from services.chassis.background import Background
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance

INTERVAL_S = 1
KEPT_S = 900
SERVICES = frozenset({LOADGEN, "provisioner", SCALABLE})


class Monitor:
    """Samples every second until closed, except while `paused()`. Times are Unix times.

    `tell` gets the key figures after each sample, `report(kind, fields)` what was detected.
    """

    def __init__(
        self,
        runtime: Runtime,
        regions: Sequence[str],
        metrics: Metrics,
        background: Background,
        *,
        paused: Callable[[], bool],
        tell: Callable[[Glance], None],
        report: Callable[[str, dict[str, object]], None],
    ) -> None:
        """`metrics` are those of the controller, which has the stalls of its own event loop."""
        self._runtime = runtime
        self._regions = regions
        self._metrics = metrics
        self._background = background.scope()
        self._paused = paused
        self._tell = tell
        self._report = report
        self.stall: Stall | None = None
        """The last stall; its `t` is a Unix time."""
        self.forget()

    def start(self) -> None:
        self._background.keep(self._follow, "monitor")

    async def close(self) -> None:
        await self._background.stop()

    def forget(self) -> None:
        """Starts afresh, as after a reset: without samples, and without collapsed regions."""
        self.samples = SeriesTable(keep=KEPT_S)
        self._sampler = Sampler(self.samples, self._runtime.http, {*FAMILIES, STALLS}, joins=True)
        self._sampler.attach(Instance(CONTROLLER, "", CONTROLLER, ""), self._metrics)
        self._stalls = StallWatch(self.samples, CONTROLLER, self._runtime.clock.epoch())
        self._collapses = CollapseWatch(self.samples)
        self._last_t = -math.inf

    @property
    def down(self) -> dict[str, float]:
        """The collapsed regions, with the Unix time of the collapse."""
        return self._collapses.down

    async def _follow(self) -> None:
        clock = self._runtime.clock
        while True:
            if self._paused():
                self.forget()
            else:
                await self.look(float(math.floor(clock.epoch())))
            await asyncio.sleep(INTERVAL_S - clock.epoch() % INTERVAL_S)

    async def look(self, t: float) -> None:
        """Samples once, at `t`."""
        if t < self._last_t:
            self.forget()  # the calendar was set back; the windows of these samples are not comparable
        elif t == self._last_t:
            return
        self._last_t = t
        samples = self.samples
        self._sampler.follow(target for target in self._runtime.targets() if target.spec.service in SERVICES)
        await self._sampler.sample(t)
        if samples is not self.samples:
            return  # a reset meanwhile: this reading is of the time before it
        self._detect(t)
        self._tell(glance(samples, self._regions, t))

    def _detect(self, t: float) -> None:
        stall = self._stalls.look(t)
        if stall is not None:
            self.stall = stall
            self._report(EVENT, {"stalled_s": round(stall.stalled_s, 3)})
        for region, went_down in self._collapses.look(t):
            self._report("collapse_began" if went_down else "collapse_ended", {"region": region})
