"""`VirtualRedis`: one Redis server per world, in the loop, in virtual time.

    client = world.redis.client(decode_responses=True)
    await client.set("k", "v", px=500)

`client()` returns an ordinary `redis.asyncio.Redis`. `stall` makes the server unresponsive for a while, the most common
symptom of Redis trouble. `go_down` closes all connections and refuses new ones, as a restart does; the data is kept.
`delay_s` slows every command.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, cast

import redis.asyncio
from fakeredis._core import FakeServer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from compose.virtual.kernel.loop import OWNER, Handle, VirtualLoop
from compose.virtual.kernel.process import Process
from compose.virtual.redis.client import MemoryConnection, MemoryPool
from compose.virtual.redis.engine import Session, WatchedDatabase
from services.chassis.store import patience

SET_REPLIES = ("SMEMBERS", "SINTER", "SUNION", "SDIFF")


class SortedSet(set[Any]):
    """A set reply that iterates in sorted order: the order of a plain set of strings depends on PYTHONHASHSEED."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__()))


def _as_sorted_set(reply: Any, **_options: Any) -> Any:
    return SortedSet(reply) if isinstance(reply, list | set | frozenset) else reply


class VirtualRedis:
    """A Redis server in the loop; its time is the loop's, through the boundary's patches."""

    def __init__(self, loop: VirtualLoop, version: tuple[int, ...] = (7, 4)) -> None:
        self.loop = loop
        self.delay_s = 0.0
        """Virtual seconds from sending a command to its execution."""
        self._server = FakeServer(version=version)
        self._server.dbs = defaultdict(lambda: WatchedDatabase(self._server.lock))
        self._context = Context()
        self._stalled_until_s = 0.0
        self._down_until_s = 0.0
        self._sessions: dict[Session, None] = {}
        self._held: deque[tuple[Session, list[list[bytes]]]] = deque()
        self._last_arrival_s = 0.0

    def __repr__(self) -> str:
        keys = sum(len(database) for database in self._server.dbs.values())
        stalled = f", stalled for {self.stalled_for_s:g} s" if self.stalled_for_s else ""
        return f"<VirtualRedis {keys} keys{stalled}>"

    def client(self, *, decode_responses: bool = False, **options: Any) -> redis.asyncio.Redis:
        """A redis-py client; `options` as for `redis.asyncio.Redis`, with the services' defaults."""
        options.setdefault("retry", patience())
        pool = MemoryPool(
            connection_class=MemoryConnection,
            engine=self,
            decode_responses=decode_responses,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            **options,
        )
        client = redis.asyncio.Redis.from_pool(pool)
        for command in SET_REPLIES:
            client.set_response_callback(command, cast(Any, _as_sorted_set))
        return client

    # --- faults --------------------------------------------------------------------------------------

    def stall(self, duration_s: float) -> None:
        """Execute no commands for `duration_s`; they queue up and run in order at the end."""
        until = self.loop.time() + duration_s
        if until > self._stalled_until_s:
            self._stalled_until_s = until
            self.loop.call_at(until, self._go_on, context=self._context)

    def release(self) -> None:
        """End a stall now."""
        self._stalled_until_s = self.loop.time()
        self.loop.call_soon(self._go_on, context=self._context)

    def go_down(self, duration_s: float) -> None:
        """Drop every connection with its unexecuted commands, and refuse new connections for `duration_s`."""
        self._down_until_s = max(self._down_until_s, self.loop.time() + duration_s)
        self._held.clear()
        for session in list(self._sessions):
            session.lose()

    @property
    def stalled_for_s(self) -> float:
        """Remaining seconds of a stall; 0.0 without one."""
        return max(0.0, self._stalled_until_s - self.loop.time())

    def holds(self, session: Session) -> bool:
        """Whether commands of a session wait for the end of a stall."""
        return any(held is session for held, _ in self._held)

    def _go_on(self) -> None:
        while self._held and self.stalled_for_s <= 0:
            session, commands = self._held.popleft()
            for command in commands:
                session.execute(command)

    # --- interface for connections ---------------------------------------------------------------------

    def open_session(self, database: int, protocol: int) -> Session:
        """A connection to the server, closed when the simulated process that opened it dies.

        Raises redis' ConnectionError while the server is down.
        """
        if self.loop.time() < self._down_until_s:
            raise RedisConnectionError("Error 111 connecting to virtual redis. Connection refused.")
        session = Session(self, self._server, database, protocol)
        self._sessions[session] = None
        owner = OWNER.get()
        if isinstance(owner, Process):
            owner.open[session] = None
        return session

    def submit(self, session: Session, commands: list[list[bytes]]) -> None:
        """Execute commands in the next turn, or `delay_s` later, in the order they were sent."""
        if self.delay_s or self._last_arrival_s:
            arrival = self._last_arrival_s = max(self._last_arrival_s, self.loop.time() + self.delay_s)
            self.loop.call_at(arrival, self._execute, session, commands, context=self._context)
        else:
            self.loop.call_soon(self._execute, session, commands, context=self._context)

    def closed(self, session: Session) -> None:
        self._sessions.pop(session, None)

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Schedule a timer of the server: it survives the client's process."""
        return self.loop.call_later(delay_s, callback, *args, context=self._context)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        """Schedule a callback of the server."""
        return self.loop.call_soon(callback, *args, context=self._context)

    def _execute(self, session: Session, commands: list[list[bytes]]) -> None:
        if session.lost:
            return
        if self._held or self.loop.time() < self._stalled_until_s:
            self._held.append((session, commands))
            session.held()
            return
        for command in commands:
            session.execute(command)
