"""The workers and the queue of a node, driven by the loop's timers. Work continues after the caller has disconnected.

Ordinary servers behave like this: a handler is not cancelled when its client times out. Such work is counted as
wasted, and that count explains the incident.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.http import retry_after
from services.chassis.settings import SettingsError
from services.chassis.tracing import Span
from services.identity.admission import Admission, Reason
from services.identity.configuration import ConfigurationReader
from services.identity.errors import DEADLINE_EXCEEDED, NODE_OVERLOADED, TENANT_THROTTLED
from services.identity.line import LIFO_KINDS, ServiceTime, WaitingLine, bound, build_line, is_bounded
from services.identity.metrics import IdentityMetrics
from services.identity.settings import IdentitySettings
from services.identity.state import NodePhysics
from services.policies import deadline
from services.policies.capacity import ScaleOut

TENANT_HEADER = "x-tenant"
BACKLOG_HEADER = "x-backlog"


class NodeWork:
    """One request in the node: arrival time, deadline, and the future its caller waits for."""

    __slots__ = ("arrived", "done", "expires", "inflight", "request", "span", "started")

    def __init__(self, request: web.Request, arrived: float, done: "asyncio.Future[None]", span: Span) -> None:
        self.request = request
        self.arrived = arrived
        self.done = done
        self.span = span
        self.expires = deadline.parse(request.headers.get(deadline.HEADER))
        self.started = arrived
        self.inflight = 0  # 0 for work admitted before a limit was enabled: the limit does not learn from it

    def caller_left(self) -> bool:
        transport = self.request.transport
        return transport is None or transport.is_closing()


class Node:
    """Workers, queue, crash and restart of one identity node."""

    def __init__(self, env: Env, metrics: IdentityMetrics) -> None:
        self._env = env
        self._metrics = metrics
        self._rng = env.streams["identity.service_time"]
        self._now = env.clock.now
        self.settings = env.settings(IdentitySettings)
        self.physics = NodePhysics(self.settings)
        self._service = ServiceTime(self.settings.service_time_s)
        self._admission: Admission | None = None
        self._take_policies()
        self.queue: WaitingLine[NodeWork] = self._make_queue()
        self.serving: dict[NodeWork, asyncio.TimerHandle] = {}
        self.up = True
        self.crashes = 0
        self._reader = ConfigurationReader(env, metrics, lambda: self.settings)
        self._crash_timer: asyncio.TimerHandle | None = None
        self._defect_timer: asyncio.TimerHandle | None = None
        self._restart_timer: asyncio.TimerHandle | None = None
        self.on_rotation: Callable[[], None] = lambda: None
        env.life.crash = self.crash

    def _make_queue(self) -> WaitingLine[NodeWork]:
        line: WaitingLine[NodeWork] = build_line(self.settings, _tenant, self._now())
        if self._bounded:
            bound(line, self.settings, self._service.mean_s)
        return line

    def _take_policies(self) -> None:
        """Builds the policies that the current settings enable; a naive node has none."""
        settings = self.settings
        self._bounded = is_bounded(settings)
        self._learns = self._bounded or settings.shedding.kind == "priority"
        self._deadline = deadline.DeadlineCheck(settings.drop_expired, settings.deadline_needed_s)
        self._purges = settings.drop_expired and settings.discipline in LIFO_KINDS and not settings.fair
        if self._admission is None or not self._admission.fits(settings):
            rng = self._env.streams["identity.limit"]
            self._admission = Admission(settings, rng, self._now()) if Admission.wanted(settings) else None

    def reconfigure(self) -> None:
        """Applies the current settings; queued work moves to the new queue in its old order."""
        try:
            fresh = self._env.settings(IdentitySettings)
        except SettingsError as error:
            self._env.events.emit("setting_rejected", region=self._env.region, error=str(error))
            return
        if fresh == self.settings:
            return
        before, self.settings = self.settings, fresh
        self.physics.settings = fresh
        if fresh.configuration.crash_after_s != before.configuration.crash_after_s:
            self._watch_defect()
        self._take_policies()
        waiting, self.queue = self.queue.drain(), self._make_queue()
        for work in waiting:
            if not self.queue.offer(work, work.arrived):
                self._refuse(work, "queue_full")
        self._drop_refused()
        self._fill_workers()
        self._watch_overload()

    async def serve(self, request: web.Request) -> None:
        """Returns when a worker has finished this request.

        Raises:
            ServiceError: 503 or 429 if it is not admitted, 504 if its deadline passed in the queue.
            ConnectionResetError: if the node is down or crashes.
        """
        if not self.up:
            self._reset(request)
        done = asyncio.get_running_loop().create_future()
        work = NodeWork(request, self._now(), done, self._env.tracing.current)
        if self._admission is not None:
            self._admit(self._admission, work)
        if len(self.serving) < self.settings.workers and not len(self.queue):
            self._start(work, work.arrived)
        elif not self.queue.offer(work, work.arrived):
            self._metrics.rejected["queue_full"]()
            raise self._overloaded()
        else:
            self._drop_refused()
        self._watch_overload()
        await work.done

    def _admit(self, admission: Admission, work: NodeWork) -> None:
        tenant, now = _tenant(work), work.arrived
        serving, waiting = len(self.serving), len(self.queue)
        backlog = work.request.headers.get(BACKLOG_HEADER) == "1"
        reason = admission.refusal(
            tenant, backlog, serving=serving, waiting=waiting, service_s=self._service.mean_s, now=now
        )
        if reason is not None:
            self._metrics.rejected[reason]()
            raise self._refusal(admission, reason, tenant, now)
        work.inflight = serving + waiting + 1

    def _start(self, work: NodeWork, now: float) -> None:
        work.started = now
        self._metrics.queue_wait(now - work.arrived, work.span.exemplar())
        self._env.tracing.past("node.queue", work.span, work.arrived, now, waiting=len(self.queue))
        if self._admission is not None:
            self._admission.started(now - work.arrived)
        service_s = self.physics.service_time_s(len(self.queue), self._rng, len(self.serving) + 1)
        self.serving[work] = asyncio.get_running_loop().call_later(service_s, self._finish, work)

    def _finish(self, work: NodeWork) -> None:
        del self.serving[work]
        now = self._now()
        self.physics.on_completed()
        self._metrics.duration(now - work.arrived, work.span.exemplar())
        self._metrics.worked(now - work.started)
        left = work.caller_left()
        (self._metrics.wasted if left else self._metrics.useful)()
        self._env.tracing.past("node.service", work.span, work.started, now, useful=not left)
        if self._learns:
            self._learn(now - work.started)
        if self._admission is not None and work.inflight:
            self._admission.finished(now - work.arrived, work.inflight, now, left=left)
        if not work.done.done():
            work.done.set_result(None)
        self._fill_workers()
        self._watch_overload()

    def _learn(self, service_s: float) -> None:
        self._service.learn(service_s)
        if self._bounded:
            bound(self.queue, self.settings, self._service.mean_s)

    def _fill_workers(self) -> None:
        now = self._now()
        if self._purges:
            self._purge()
        while len(self.serving) < self.settings.workers:
            work = self.queue.take(now)
            self._drop_refused()
            if work is None:
                return
            if self.settings.drop_expired and self._expired(work):
                self._refuse(work, "deadline")
            else:
                self._start(work, now)

    def _expired(self, work: NodeWork) -> bool:
        return self._deadline.expired(work.expires, self._env.clock.epoch())

    def _purge(self) -> None:
        """Drops all expired work: in LIFO order it collects at the far end of the queue and is never taken."""
        for work in self.queue.drain():
            if self._expired(work):
                self._refuse(work, "deadline")
            else:
                self.queue.offer(work, work.arrived)

    def _drop_refused(self) -> None:
        for dropped in self.queue.pop_dropped():
            self._refuse(dropped, "queue_full")

    def _refuse(self, work: NodeWork, reason: str) -> None:
        self._metrics.rejected[reason]()
        self._env.tracing.past("node.queue", work.span, work.arrived, self._now(), refused=reason)
        if reason == "deadline" and self._admission is not None and work.inflight:
            now = self._now()
            self._admission.dropped(now - work.arrived, work.inflight, now)
        if not work.done.done():
            error = ServiceError(DEADLINE_EXCEEDED) if reason == "deadline" else self._overloaded()
            work.done.set_exception(error)

    def _refusal(self, admission: Admission, reason: Reason, tenant: str, now: float) -> ServiceError:
        if reason != "throttle":
            return self._overloaded()
        headers = retry_after(admission.retry_after_s(tenant, now))
        return ServiceError(TENANT_THROTTLED, headers=headers, tenant=tenant)

    def _overloaded(self) -> ServiceError:
        return ServiceError(NODE_OVERLOADED, headers=retry_after(self.settings.retry_after_s))

    def _watch_overload(self) -> None:
        at = self.physics.overload_deadline(len(self.queue), self._now())
        if at is None:
            if self._crash_timer is not None:
                self._crash_timer.cancel()
                self._crash_timer = None
        elif self._crash_timer is None:
            loop = asyncio.get_running_loop()
            self._crash_timer = loop.call_later(at - self._now(), self.crash, "sustained_overload")

    def _watch_defect(self) -> None:
        """Crashes a node that is up, in time, if there is a defect in its configuration."""
        if self._defect_timer is not None:
            self._defect_timer.cancel()
            self._defect_timer = None
        after_s = self.settings.configuration.crash_after_s
        if self.up and after_s is not None:
            self._defect_timer = asyncio.get_running_loop().call_later(after_s, self.crash, "configuration")

    def crash(self, reason: str) -> None:
        """Drops the queue and all connections; the node restarts cold after `restart_s`."""
        if not self.up:
            return
        self.up = False
        self.crashes += 1
        if self._crash_timer is not None:  # of an overload that ends here
            self._crash_timer.cancel()
            self._crash_timer = None
        serving, waiting = list(self.serving), self.queue.drain()
        lost = [*serving, *waiting]
        self._trace_lost(serving, waiting)
        self._env.events.emit("node_crashed", region=self._env.region, reason=reason, queue_length=len(lost))
        for handle in self.serving.values():
            handle.cancel()
        self.serving.clear()
        for work in lost:
            self._metrics.rejected["crash"]()
            if work.request.transport is not None:
                work.request.transport.abort()
            if not work.done.done():
                work.done.set_exception(ConnectionResetError("node crashed"))
        self.on_rotation()
        loop = asyncio.get_running_loop()
        self._restart_timer = loop.call_later(self.settings.restart_s, self._restart, reason)
        self._watch_defect()

    def _trace_lost(self, serving: list[NodeWork], waiting: list[NodeWork]) -> None:
        now, past = self._now(), self._env.tracing.past
        for work in serving:
            past("node.service", work.span, work.started, now, useful=False, crashed=True)
        for work in waiting:
            past("node.queue", work.span, work.arrived, now, refused="crash")

    def begin(self, *, has_configuration: bool) -> None:
        """A process has started: the node is up at once, or when it has read its configuration."""
        if not self.up:
            return  # it has crashed already, and restarts
        self.up = has_configuration or not self.settings.configuration.blob
        self._watch_defect()
        if not self.up:
            self._configure(self._join)

    def _restart(self, reason: str) -> None:
        if self.settings.configuration.blob:
            self._configure(lambda: self._rejoin(reason))
        else:
            self._rejoin(reason)

    def _configure(self, then: Callable[[], None]) -> None:
        async def read() -> None:
            await self._reader.read()
            then()

        self._env.background.finish(read, "configuration")

    def _join(self) -> None:
        self.up = True
        self._env.life.begin_again()
        self._watch_defect()
        self.on_rotation()

    def _rejoin(self, reason: str) -> None:
        self.physics.restart()
        self._metrics.restarts.labels(reason).inc()
        self._env.events.emit("node_restarted", region=self._env.region)
        self._join()

    async def warm_up(self) -> None:
        """Warms the cache with synthetic work until the node is fit to join."""
        rng = self._env.streams["identity.warm_up"]
        while self.up and not self.fit:
            await asyncio.sleep(self.physics.service_time_s(0, rng) / self.settings.workers)
            self.physics.on_completed()

    @property
    def fit(self) -> bool:
        """Whether the node may join the rotation: it is warm enough, or scale-out is not guarded."""
        return ScaleOut(self.settings.scale_out).is_ready(self.physics.warmth)

    def stop(self) -> None:
        """Cancels all timers, for shutdown."""
        for handle in (*self.serving.values(), self._crash_timer, self._defect_timer, self._restart_timer):
            if handle is not None:
                handle.cancel()

    def _reset(self, request: web.Request) -> None:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("node is down")

    def __repr__(self) -> str:
        state = "up" if self.up else "down"
        return f"<Node {state}, {len(self.serving)} busy, {len(self.queue)} queued, {self.physics!r}>"


def _tenant(work: NodeWork) -> str:
    return work.request.headers.get(TENANT_HEADER, "")
