"""The server side of the virtual Redis: a fakeredis engine with correct blocking reads.

fakeredis 2.40.0 executes commands correctly, but its blocking commands have four bugs. Each is fixed here and has a
test:

1. `XREADGROUP COUNT n BLOCK t` on an empty stream answers at once instead of waiting;
2. without COUNT it moves entries to the pending list that its caller never receives;
3. a write to any key wakes every blocked reader with an empty reply;
4. blocked readers wake in address order instead of FIFO.

Here a blocked reader is registered under the keys it named. When a command has written one of them, the readers of that
key are tried in the order in which they blocked, as Redis does after each command or EXEC.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol

import redis.asyncio
from fakeredis._core import FakeServer
from fakeredis._core._database import Database
from fakeredis._helpers import NoResponse, SimpleError
from fakeredis._socket._fakesocket import FakeSocket

from compose.virtual.kernel.loop import Handle, Sequenced, VirtualLoop

UNORDERED_REPLIES = frozenset({"smembers", "sinter", "sunion", "sdiff"})
"""fakeredis iterates over Python sets for these, so their order would depend on PYTHONHASHSEED."""

Attempt = Callable[[bool], Any]


class Host(Protocol):
    """The server interface for sessions; implemented by `server.VirtualRedis`."""

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the server."""

    @property
    def stalled_for_s(self) -> float:
        """Remaining seconds of a stall; 0.0 without one."""

    def holds(self, session: Session) -> bool:
        """Whether commands of a session wait for the end of a stall."""

    def closed(self, session: Session) -> None:
        """Called when a session ends."""

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Schedule a timer of the server."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        """Schedule a callback of the server."""


class WatchedDatabase(Database):  # type: ignore[misc]  # fakeredis has no types
    """A database that records which keys with blocked readers were written."""

    def __init__(self, lock: Any) -> None:
        super().__init__(lock)
        self.readers: defaultdict[bytes, dict[BlockedReader, None]] = defaultdict(dict)
        self.written: dict[bytes, None] = {}

    def notify_watch(self, key: bytes) -> None:
        """A command wrote `key`: fail the transactions that watch it, and record it for blocked readers."""
        for session in self._watches.get(key, ()):
            session.notify_watch()
        if key in self.readers:
            self.written[key] = None

    def wake_all(self) -> None:
        """CLIENT UNBLOCK: let every reader try again."""
        self.written.update(dict.fromkeys(self.readers))


class BlockedReader:
    """One client blocked on keys."""

    def __init__(
        self, session: Session, keys: list[bytes], group: object, attempt: Attempt, shape: Callable[[Any], Any] | None
    ) -> None:
        self.session = session
        self.keys = keys
        self.group = group
        self.attempt = attempt
        self.shape = shape
        self.database: WatchedDatabase = session._db
        self.timer: Handle | None = None
        for key in keys:
            self.database.readers[key][self] = None

    def leave(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for key in self.keys:
            readers = self.database.readers.get(key, {})
            readers.pop(self, None)
            if not readers:
                self.database.readers.pop(key, None)
        self.session.blocked = None

    def answer(self, reply: Any) -> None:
        """Stop waiting and send the reply."""
        self.leave()
        if not isinstance(reply, SimpleError) and self.shape is not None:
            reply = self.shape(reply)
        self.session.put_response(self.session._decode_result(reply))
        self.session.work_off_backlog()

    def try_again(self) -> bool:
        """Try the command again; True if it got a reply."""
        session = self.session
        if session._unblock_reason is not None:
            try:
                session._take_unblock_reason()
                self.answer(None)
            except SimpleError as error:
                self.answer(error)
            return True
        try:
            reply = self.attempt(False)
        except SimpleError as error:
            reply = error
        if reply is None:
            return False
        self.answer(reply)
        return True


class Session(Sequenced, FakeSocket):  # type: ignore[misc]
    """The server side of one client connection; replies go to `replies`, in order."""

    __hash__ = Sequenced.__hash__
    _kind = "internal_numbers"

    def __init__(self, engine: Host, server: FakeServer, database: int, protocol: int) -> None:
        self.engine = engine
        super().__init__(server, database, client_class=redis.asyncio.Redis, client_info={"resp": protocol})
        self.replies: deque[Any] = deque()
        self.blocked: BlockedReader | None = None
        self.gone = self.lost = False
        self.read_timeout_s: float | None = None
        self._backlog: deque[list[bytes]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._read_timer: Handle | None = None
        self._fields: list[bytes] = []

    def get_loop(self) -> VirtualLoop:
        """The loop that assigns its number, so that sets of subscribers iterate in connection order."""
        return self.engine.loop

    def __repr__(self) -> str:
        state = "gone" if self.gone else "blocked" if self.blocked else "idle"
        return f"<Session {self._client_info['id']} {state}, {len(self.replies)} replies>"

    # --- executing -----------------------------------------------------------------------------------

    def execute(self, fields: list[bytes]) -> None:
        """Run one command, then serve the readers blocked on the keys it wrote."""
        if self.blocked is not None:
            self._backlog.append(fields)
            return
        self._fields = fields
        self._process_command(fields)
        database: WatchedDatabase = self._db
        while database.written:
            key = next(iter(database.written))
            del database.written[key]
            self._serve(database, key)

    @staticmethod
    def _serve(database: WatchedDatabase, key: bytes) -> None:
        empty_handed: set[Any] = set()
        for reader in list(database.readers.get(key, ())):
            # Once one consumer of a group has found nothing, the other consumers of that group are not tried.
            if reader.session.blocked is not reader or reader.group in empty_handed:
                continue
            if not reader.try_again() and reader.group is not None:
                empty_handed.add(reader.group)

    def work_off_backlog(self) -> None:
        """Run the commands pipelined behind a blocking command."""
        while self._backlog and self.blocked is None:
            self.execute(self._backlog.popleft())

    def _run_command(self, func: Any, sig: Any, args: list[Any], from_script: bool) -> Any:
        result = super()._run_command(func, sig, args, from_script)
        return sorted(result) if sig.name in UNORDERED_REPLIES and isinstance(result, list) else result

    def _xreadgroup(self, consumer: bytes, groups: Any, count: Any, noack: Any, min_idle: Any, first_pass: bool) -> Any:
        # Skips the "first pass" of fakeredis, which reads entries and discards them. An empty result becomes None, so
        # that a blocking read waits.
        return super()._xreadgroup(consumer, groups, count, noack, min_idle, False) or None

    # --- blocking ------------------------------------------------------------------------------------

    def _blocking(self, timeout: float | None, func: Attempt, shape: Callable[[Any], Any] | None = None) -> Any:
        reply = func(True)
        if reply is not None or self._in_transaction or self.gone:
            return reply if shape is None else shape(reply)
        keys, group = _keys_and_group(self._fields)
        self.blocked = reader = BlockedReader(self, keys, group, func, shape)
        self._blocked = True
        if timeout:
            reader.timer = self.engine.call_later(timeout, self._give_up, reader)
        self._arm_read_timer()
        return NoResponse()

    def _give_up(self, reader: BlockedReader) -> None:
        if self.blocked is not reader:
            return
        if (wait_s := self.engine.stalled_for_s) > 0:
            reader.timer = self.engine.call_later(wait_s, self._give_up, reader)
        else:
            reader.answer(None)

    # --- replying ------------------------------------------------------------------------------------

    def put_response(self, msg: Any) -> None:
        """Queue a reply and wake the client."""
        if self.gone:
            return
        self.replies.append(msg)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    async def read(self, timeout_s: float | None, *, at_once: bool) -> Any:
        """The next reply; raises TimeoutError after `timeout_s` and ConnectionResetError when the session has ended.

        Unless `at_once`, the timer starts only when the server holds the command (stall, blocking read): an ordinary
        reply arrives two turns later without any virtual time passing.
        """
        while not self.replies:
            if self.gone:
                raise ConnectionResetError("Connection closed by server.")
            self._reader = self.engine.loop.create_future()
            self.read_timeout_s = timeout_s
            if at_once or self.engine.stalled_for_s > 0 or self.blocked:
                self._arm_read_timer()
            try:
                await self._reader
            finally:
                self._reader = None
                if self._read_timer is not None:
                    self._read_timer.cancel()
                    self._read_timer = None
        return self.replies.popleft()

    def _arm_read_timer(self) -> None:
        if self._reader is not None and self._read_timer is None and self.read_timeout_s is not None:
            self._read_timer = self.engine.loop.call_later(self.read_timeout_s, self._time_out, self._reader)

    def held(self) -> None:
        """The server delays the last command: start the client's read timeout."""
        self._arm_read_timer()

    @staticmethod
    def _time_out(reader: asyncio.Future[None]) -> None:
        if not reader.done():
            reader.set_exception(TimeoutError())

    # --- ending --------------------------------------------------------------------------------------

    def lose(self) -> None:
        """The server is down: commands sent and not yet executed are lost, and a waiting client gets an error."""
        self.lost = True
        reader = self._reader
        self.hang_up()
        if reader is not None and not reader.done():
            reader.set_result(None)

    def hang_up(self) -> None:
        """The client closed the connection: commands already sent still execute, their replies are dropped."""
        if self.gone:
            return
        self.gone = True
        self.engine.closed(self)
        if self.blocked is not None:
            self.blocked.leave()
        self.replies.clear()
        self.engine.call_soon(self._release)

    abort = hang_up

    def _release(self) -> None:
        if self.engine.stalled_for_s > 0:
            self.engine.call_later(self.engine.stalled_for_s, self._release)
        elif self.engine.holds(self):  # the stall has just ended, and its commands come in this turn
            self.engine.call_soon(self._release)
        elif self._server is not None:
            self.lost = True  # later commands on this session are not executed
            self.close()


def _keys_and_group(fields: list[bytes]) -> tuple[list[bytes], object]:
    """The keys a blocking command waits for, and for XREADGROUP the identity of its consumer group and keys.

    For the list and sorted-set commands every argument is taken as a key. That is harmless: an argument that is not a
    key is never written.
    """
    upper = [field.upper() for field in fields[:12]]
    if b"STREAMS" not in upper:
        return list(dict.fromkeys(fields[1:])), None
    names = fields[upper.index(b"STREAMS") + 1 :]
    keys = names[: len(names) // 2]
    return keys, (fields[2], tuple(keys)) if upper[0] == b"XREADGROUP" else None
