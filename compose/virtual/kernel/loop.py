"""`VirtualLoop`: an asyncio event loop whose clock jumps to the next timer instead of waiting for it.

Time starts at 0.0 and does not advance while anything is ready to run, so a run takes only the CPU time of its
callbacks. Order is FIFO: callbacks run in the order they were scheduled, and timers due at the same instant run in the
order they were created. Together with `SequencedTask` (whose hash is a sequence number, not an address) this makes a
run repeatable to the byte.

Two design points. A handle is a plain `list` subclass, because a run creates about fifteen of them per HTTP hop.
Callbacks belong to an owner (a simulated process, found through a context variable), so that a process can be frozen or
killed as a kernel does it: its code gets no more CPU.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import inspect
import itertools
import socket
import threading
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, copy_context
from typing import Any, TypeVar, cast

from compose.virtual.kernel.errors import LeftTheSimulation, Livelock, SleepForever
from compose.virtual.kernel.fences import FencedLoop
from compose.virtual.kernel.ports import NetworkPort

T = TypeVar("T")

TURNS_AT_ONE_INSTANT_MAX = 200_000
"""Limit of loop turns at one instant. A poll without a delay reaches it in about a second; no real burst comes near."""

FOREVER_S = 1e9
"""Timers this far in the future (32 years) are not scheduled. aiohttp's idle connections use them as "no timeout"."""

OWNER: contextvars.ContextVar[Any] = contextvars.ContextVar("aftershock_owner", default=None)
"""The simulated process whose code is running; inherited by everything it schedules."""

_heappush, _heappop = heapq.heappush, heapq.heappop


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Handle(list[Any]):
    """`[callback, arguments, context]` with asyncio's handle methods."""

    __slots__ = ("_when_s",)
    _when_s: float

    def cancel(self) -> None:
        """Drop the callback; the loop skips the empty entry."""
        self[0] = None
        self[1] = ()

    def cancelled(self) -> bool:
        return self[0] is None

    def when(self) -> float:
        """The due time of a timer, in virtual seconds."""
        return self._when_s


class Sequenced:
    """Mix-in whose hash is a sequence number, assigned at first use (most futures are never hashed).

    asyncio keeps tasks and futures in sets and iterates over them (`asyncio.wait`, `TaskGroup`, `all_tasks`). With
    hashes from addresses that order would change from run to run. Numbers count per loop, because the iteration order
    of a set depends on the hash values and not only on their order.
    """

    _number = 0
    _kind = "numbers"

    def __hash__(self) -> int:
        return self._number or self._take_number()

    def _take_number(self) -> int:
        loop: Any = cast(Any, self).get_loop()
        self._number = next(getattr(loop, self._kind))
        return self._number


class SequencedFuture(Sequenced, asyncio.Future[Any]):
    """A future whose position in a set does not depend on its address."""

    __hash__ = Sequenced.__hash__


class SequencedTask(Sequenced, asyncio.Task[Any]):
    """A task whose position in a set does not depend on its address, and that records its owner."""

    __hash__ = Sequenced.__hash__
    owner: Any = None


class InternalTask(SequencedTask):
    """A task internal to aiohttp, with a separate number sequence.

    The direct transport has no such tasks, and the tasks of services must have the same numbers over both transports.
    """

    __hash__ = Sequenced.__hash__
    _kind = "internal_numbers"


INTERNAL_COROUTINES = frozenset(
    {"RequestHandler.start", "RequestHandler.shutdown", "ClientRequest.write_bytes", "_wait_for_close"}
)
"""Coroutines that aiohttp starts besides handlers."""


class VirtualLoop(FencedLoop, base_events.BaseEventLoop):  # type: ignore[misc]  # run_in_executor
    """The event loop of the virtual runtime; see the module docstring.

    `around` is entered whenever the loop starts running and exited when it stops. It applies the boundary's patches, so
    that code outside the simulation (pytest, the command line) never sees them.
    """

    network: NetworkPort | None = None
    _clock_resolution: float
    _stopping: bool  # asyncio's own: set by `stop`

    def __init__(self, around: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        super().__init__()
        self.left: list[LeftTheSimulation] = []
        self._around = around
        self._now_s = 0.0
        self._ready: deque[Handle] = deque()
        self._heap: list[tuple[float, int, Handle]] = []
        self._heap_compact_at = 1024
        self._timer_numbers = itertools.count()
        self.numbers = itertools.count(1)
        self.internal_numbers = itertools.count(1)
        self._at_end_of_instant: deque[Handle] = deque()
        self._halted: dict[Any, list[Handle]] = {}
        self._clock_resolution = 0.0

    def __repr__(self) -> str:
        state = "closed" if self.is_closed() else "running" if self.is_running() else "idle"
        return f"<VirtualLoop {state} at {self._now_s:.6f} s, {len(self._heap)} timers>"

    # --- time and scheduling -------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was created."""
        return self._now_s

    def call_soon(  # type: ignore[override]  # our Handle is asyncio's in all but ancestry
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Run `callback` at this instant, after everything already scheduled for it."""
        handle = Handle((callback, args, copy_context() if context is None else context))
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Run `callback` at virtual second `when`; a time already reached means `call_soon`."""
        handle = Handle((callback, args, copy_context() if context is None else context))
        handle._when_s = when
        if when <= self._now_s:
            self._ready.append(handle)
        elif when < FOREVER_S:
            heap = self._heap
            _heappush(heap, (when, next(self._timer_numbers), handle))
            if len(heap) > self._heap_compact_at:
                self._drop_cancelled_timers()
        elif when != when:
            raise ValueError("a timer at NaN would never be due")
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    async def end_of_instant(self) -> None:
        """Wait until everything else that can run at this instant has run.

        For operator actions that take a different number of turns over the two transports: after this wait the caller
        continues at the same position in the order over both.
        """
        reached = self.create_future()
        self._at_end_of_instant.append(Handle((_settle, (reached,), copy_context())))
        await reached

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """For the loop's own thread only (signal handlers use it); a call from another thread is fenced."""
        if self._thread_id not in (None, threading.get_ident()):  # type: ignore[attr-defined]
            self.fence("loop.call_soon_threadsafe from another thread")
        return self.call_soon(callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return SequencedFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of this loop. Default names count per loop, so that two runs in one process have the same names."""
        internal = getattr(coro, "__qualname__", None) in INTERNAL_COROUTINES
        task = (InternalTask if internal else SequencedTask)(
            cast(Coroutine[Any, Any, T], coro), loop=self, name=str(name or "Task"), context=context
        )
        if name is None:
            task.set_name(f"{'aiohttp' if internal else 'Task'}-{task._number}")
        task.owner = OWNER.get() if context is None else context.get(OWNER)
        return task

    # --- running -------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until `stop`, inside the boundary."""
        with self._around():
            super().run_forever()

    def _run_once(self) -> None:
        """Run until `stop`.

        One call covers all turns, because asyncio's outer loop is too slow for one call per turn.
        """
        ready, halted = self._ready, self._halted
        popleft = ready.popleft
        turns = 0
        while True:
            count = len(ready)
            turns += 1
            if turns > TURNS_AT_ONE_INSTANT_MAX:
                raise Livelock(f"{turns} turns at t={self._now_s}; next: {list(ready)[:5]}")
            while count:
                count -= 1
                handle = popleft()
                callback, args, context = handle
                if callback is None or (halted and self._is_halted(handle)):
                    continue
                try:
                    context.run(callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self._report(error, handle)
            if self._stopping:
                return
            if not ready:
                before = self._now_s
                self._advance()
                if self._now_s != before:
                    turns = 0

    def _report(self, error: BaseException, handle: Handle) -> None:
        message = f"Exception in callback {handle[0]!r}"
        self.call_exception_handler({"message": message, "exception": error})

    def _advance(self) -> None:
        """Advance the clock to the next timer and make everything due at that instant ready.

        Waiters for the end of the current instant come first, one at a time.
        """
        if self._at_end_of_instant:
            self._ready.append(self._at_end_of_instant.popleft())
            return
        heap = self._heap
        while heap and heap[0][2][0] is None:
            _heappop(heap)
        if not heap:
            raise SleepForever(self.deadlock_report())
        now = self._now_s = heap[0][0]
        append = self._ready.append
        while heap and heap[0][0] == now:
            append(_heappop(heap)[2])

    def close(self) -> None:
        """Close the loop and drop all timers. Tasks that never got a turn would warn of their coroutines."""
        for task in asyncio.all_tasks(self):
            coroutine = task.get_coro()
            if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
        super().close()
        self._heap.clear()
        self._halted.clear()

    def _drop_cancelled_timers(self) -> None:
        """Compact the heap: every request creates and cancels a timeout timer, and none is removed when cancelled."""
        self._heap[:] = [entry for entry in self._heap if entry[2][0] is not None]
        heapq.heapify(self._heap)
        self._heap_compact_at = max(1024, 2 * len(self._heap))

    # --- owners: freezing and killing simulated processes ----------------------------------------------

    def halt(self, owner: object) -> None:
        """Stop running callbacks of `owner`; they are kept, in order."""
        self._halted.setdefault(owner, [])

    def resume(self, owner: object) -> None:
        """Run `owner` again; callbacks that became due meanwhile run now, in order."""
        self._ready.extend(self._halted.pop(owner, ()))

    def wind_up(self, owner: object, ends: Callable[[Callable[..., object]], bool]) -> None:
        """Terminate a halted `owner`: run only those pending callbacks for which `ends` is true; cancel its timers."""
        self._ready.extend(handle for handle in self._halted.pop(owner, ()) if handle[0] and ends(handle[0]))
        for _when_s, _number, timer in self._heap:
            if timer[2].get(OWNER) is owner:
                timer.cancel()

    def _is_halted(self, handle: Handle) -> bool:
        held = self._halted.get(handle[2].get(OWNER))
        if held is None:
            return False
        held.append(handle)
        return True

    def tasks_of(self, owner: object) -> list[SequencedTask]:
        """The unfinished tasks of a simulated process, oldest first."""
        tasks = cast("set[SequencedTask]", asyncio.all_tasks(self))
        return sorted((task for task in tasks if task.owner is owner), key=hash)

    # --- reports ---------------------------------------------------------------------------------------

    def fence(self, call: str, instead: str = "") -> None:
        """Raise `LeftTheSimulation`, and record it in `left` in case the caller swallows the error."""
        error = LeftTheSimulation(call, instead)
        self.left.append(error)
        raise error

    def deadlock_report(self, limit: int = 20) -> str:
        """The waiting tasks with their owners and source lines, for the `SleepForever` message."""
        tasks = sorted(asyncio.all_tasks(self), key=hash)
        lines = [f"t={self._now_s}: nothing is scheduled and {len(tasks)} tasks wait:"]
        for task in tasks[:limit]:
            owner = getattr(task, "owner", None)
            stack = task.get_stack(limit=1)
            where = f" at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else ""
            coro = task.get_coro()
            what = getattr(coro, "__qualname__", coro)
            lines.append(f"  {task.get_name()}{f' of {owner}' if owner else ''}: {what}{where}")
        if len(tasks) > limit:
            lines.append(f"  … and {len(tasks) - limit} more")
        if self._halted:
            lines.append(f"  frozen or killed: {', '.join(map(str, self._halted))}")
        return "\n".join(lines)

    # --- the in-memory network -------------------------------------------------------------------------

    async def getaddrinfo(  # type: ignore[override]
        self, host: str | bytes | None, port: int | str | None, **_hints: int
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        """Resolve from the network's table of known hosts; a name is its own address."""
        name = host.decode() if isinstance(host, bytes) else host or ""
        if self.network is None or not self.network.knows(name):
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {name}")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, int(port or 0)))]

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_options: Any,
    ) -> asyncio.AbstractServer:
        """Listen on the in-memory network; `web.TCPSite` works unchanged."""
        if self.network is None or _options.get("sock") is not None:
            self.fence("loop.create_server without a virtual network", "VirtualWorld.serve")
        network = cast(NetworkPort, self.network)
        return network.listen(host or "0.0.0.0", port or 0, protocol_factory)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        **_options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over the in-memory network, from the host of the running simulated process."""
        if self.network is None or _options.get("sock") is not None:
            self.fence("loop.create_connection without a virtual network", "VirtualWorld.session")
        network = cast(NetworkPort, self.network)
        return await network.connect(network.here(), host or "", port or 0, protocol_factory)
