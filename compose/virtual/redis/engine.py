"""The server half of the virtual Redis: a fakeredis engine with correct blocking reads.

fakeredis 2.40.0 executes commands faithfully but blocks wrongly. Cured here, each with a test:

1. `XREADGROUP COUNT n BLOCK t` on an empty stream answers at once instead of waiting;
2. without COUNT it moves entries to the pending list that its caller never sees;
3. any write to any key wakes every blocked reader, empty-handed;
4. blocked readers wake in address order, not first come, first served.

Here a blocked reader is listed under the keys it named; when a command has written one of them, the readers
of that key are tried in the order in which they blocked, as Redis does after each command or EXEC.
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
"""fakeredis iterates Python sets for these, so their order would follow PYTHONHASHSEED."""

Attempt = Callable[[bool], Any]


class Host(Protocol):
    """The server as its sessions see it; `server.VirtualRedis` is one."""

    @property
    def loop(self) -> VirtualLoop:
        """Where it runs."""

    @property
    def stalled_for_s(self) -> float:
        """How long nothing will be executed yet."""

    def closed(self, session: Session) -> None:
        """Told when a session ends."""

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """A timer of the server itself."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        """A callback of the server itself."""


class WatchedDatabase(Database):  # type: ignore[misc]  # fakeredis has no types
    """A database that notes which keys with blocked readers were written."""

    def __init__(self, lock: Any) -> None:
        super().__init__(lock)
        self.readers: defaultdict[bytes, dict[BlockedReader, None]] = defaultdict(dict)
        self.written: dict[bytes, None] = {}

    def notify_watch(self, key: bytes) -> None:
        """A command wrote `key`: fail the transactions that watch it, remember it for blocked readers."""
        for session in self._watches.get(key, ()):
            session.notify_watch()
        if key in self.readers:
            self.written[key] = None

    def wake_all(self) -> None:
        """CLIENT UNBLOCK: offer every reader another try."""
        self.written.update(dict.fromkeys(self.readers))


class BlockedReader:
    """One client that waits for keys."""

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
        """Stop waiting."""
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
        """One more attempt; True when there was something to answer."""
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
    """One client connection, as the server sees it; replies go to `replies`, in order."""

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
        """The loop that numbers it: sets of subscribers are iterated in the order in which they connected."""
        return self.engine.loop

    def __repr__(self) -> str:
        state = "gone" if self.gone else "blocked" if self.blocked else "idle"
        return f"<Session {self._client_info['id']} {state}, {len(self.replies)} replies>"

    # --- executing -----------------------------------------------------------------------------------

    def execute(self, fields: list[bytes]) -> None:
        """Run one command, then serve the readers that waited for what it wrote."""
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
            # After one member of a consumer group has found nothing, its colleagues need not look.
            if reader.session.blocked is not reader or reader.group in empty_handed:
                continue
            if not reader.try_again() and reader.group is not None:
                empty_handed.add(reader.group)

    def work_off_backlog(self) -> None:
        """Run what was pipelined behind a blocking command."""
        while self._backlog and self.blocked is None:
            self.execute(self._backlog.popleft())

    def _run_command(self, func: Any, sig: Any, args: list[Any], from_script: bool) -> Any:
        result = super()._run_command(func, sig, args, from_script)
        return sorted(result) if sig.name in UNORDERED_REPLIES and isinstance(result, list) else result

    def _xreadgroup(self, consumer: bytes, groups: Any, count: Any, noack: Any, min_idle: Any, first_pass: bool) -> Any:
        # Never the "first pass" of fakeredis, which reads entries and throws them away; and an empty result
        # is None, so that a blocking read waits.
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
        """The next reply. Unless `at_once`, the clock of `timeout_s` only starts to matter when the server
        holds the command (stall, blocking read): an ordinary reply is two turns away, in no time at all."""
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
        """The server will not execute the last command now: the client's read timeout begins to matter."""
        self._arm_read_timer()

    @staticmethod
    def _time_out(reader: asyncio.Future[None]) -> None:
        if not reader.done():
            reader.set_exception(TimeoutError())

    # --- ending --------------------------------------------------------------------------------------

    def lose(self) -> None:
        """The server has gone: what was sent and not executed is lost, and whoever waits is told."""
        self.lost = True
        reader = self._reader
        self.hang_up()
        if reader is not None and not reader.done():
            reader.set_result(None)

    def hang_up(self) -> None:
        """The client closed the connection: what it sent still executes, but nobody waits any more."""
        if self.gone:
            return
        self.gone = True
        self.engine.closed(self)
        if self.blocked is not None:
            self.blocked.leave()
        self.replies.clear()
        self.engine.call_soon(self._bury)

    abort = hang_up

    def _bury(self) -> None:
        if self.engine.stalled_for_s > 0:
            self.engine.call_later(self.engine.stalled_for_s, self._bury)
        elif self._server is not None:
            self.lost = True  # whoever still holds the connection finds it closed
            self.close()


def _keys_and_group(fields: list[bytes]) -> tuple[list[bytes], object]:
    """The keys a blocking command waits for, and for XREADGROUP what it shares with its colleagues.

    For the list and sorted-set commands every argument is listed: telling keys from other arguments is not
    worth a table, because an argument that is no key is just never written.
    """
    upper = [field.upper() for field in fields[:12]]
    if b"STREAMS" not in upper:
        return list(dict.fromkeys(fields[1:])), None
    names = fields[upper.index(b"STREAMS") + 1 :]
    keys = names[: len(names) // 2]
    return keys, (fields[2], tuple(keys)) if upper[0] == b"XREADGROUP" else None
