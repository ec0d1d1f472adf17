"""The client side of the virtual Redis: redis-py's client over an in-memory connection.

Commands, pipelines, transactions, pub/sub, retries and timeouts are redis-py's. The connection is ours: it passes the
encoded arguments and receives the replies as objects, without writing and parsing RESP. The server answers two turns
later, so a task that calls Redis yields to others, as with a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol, cast

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from compose.virtual.redis.engine import Session

Command = list[bytes]


class RedisEngine(Protocol):
    """The server interface for clients; implemented by `server.VirtualRedis`."""

    def open_session(self, database: int, protocol: int) -> Session:
        """A connection to the server."""

    def submit(self, session: Session, commands: list[Command]) -> None:
        """Execute commands in the order they were sent."""


class MemoryConnection(AbstractConnection):
    """A redis-py connection to the virtual Redis."""

    def __init__(self, *, engine: RedisEngine, **options: Any) -> None:
        # redis-py reads its own version from the package's metadata for every connection, to send it in CLIENT SETINFO.
        super().__init__(**{**options, "driver_info": None})
        self._engine = engine
        self._session: Session | None = None
        self._decodes = bool(self.encoder.decode_responses)
        self._encoding, self._encoding_errors = self.encoder.encoding, self.encoder.encoding_errors

    def __del__(self, _warnings: Any = None) -> None:
        """No warning about an unclosed connection: there is no socket."""

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """The fields redis-py shows in the repr of a connection."""
        return [("engine", self._engine), ("db", self.db)]

    @property
    def is_connected(self) -> bool:
        """Whether a session with the server is open."""
        return self._session is not None

    def _host_error(self) -> str:
        return "virtual redis"

    # --- connecting ----------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open a session; redis-py then calls back for pub/sub."""
        if self._session is None:
            await self.connect_check_health()

    async def _connect(self) -> None:
        self._session = self._engine.open_session(int(self.db), int(self.protocol))

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """No HELLO, AUTH or CLIENT SETINFO: the session already has its protocol and database."""
        self._reset_himport_state()

    async def disconnect(
        self,
        nowait: bool = False,
        error: Exception | None = None,
        failure_count: int | None = None,
        health_check_failed: bool = False,
    ) -> None:
        self._should_reconnect = False
        session, self._session = self._session, None
        if session is not None:
            session.hang_up()

    # --- sending -------------------------------------------------------------------------------------

    def pack_command(self, *args: Any) -> list[Any]:
        """Encode the arguments, as redis-py does before it writes RESP."""
        encode: Any = self.encoder.encode
        name = args[0]
        if isinstance(name, str):
            name = name.encode()
        command = name.split() if b" " in name else [name]
        command.extend([arg if type(arg) is bytes else encode(arg) for arg in args[1:]])
        return [command]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[Any]:
        return [self.pack_command(*command)[0] for command in commands]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Submit commands to the server, which executes them in the next turn."""
        if self._session is None:
            await self.connect()
        session = self._session
        assert session is not None
        self._engine.submit(session, command)

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        await self.send_packed_command(self.pack_command(*args))

    # --- receiving -----------------------------------------------------------------------------------

    async def can_read(self) -> bool:
        if self._session is None:
            raise RedisConnectionError("Connection closed by server.")
        return bool(self._session.replies)

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,
        *,
        disconnect_on_error: bool = True,
        push_request: bool | None = False,
    ) -> Any:
        """The next reply; errors and timeouts as redis-py raises them."""
        session = self._session
        if session is None:
            raise RedisConnectionError("Connection closed by server.")
        try:
            if session.replies:
                reply = session.replies.popleft()
            else:
                reply = await self._wait(session, timeout)
        except TimeoutError:
            if timeout is not None:
                return None
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise RedisTimeoutError(f"Timeout reading from {self._host_error()}") from None
        except OSError as error:
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error while reading from {self._host_error()} : {error}") from error
        except BaseException:
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise
        if isinstance(reply, Exception):
            raise reply from None
        return self._decode(reply, self._decodes and not disable_decoding)

    async def _wait(self, session: Session, timeout: float | None) -> Any:
        if timeout is None:
            return await session.read(self.socket_timeout, at_once=False)
        if timeout <= 0:
            await asyncio.sleep(0)
            timeout = 0
        return await session.read(None if timeout == float("inf") else timeout, at_once=True)

    def _decode(self, reply: Any, decode: bool) -> Any:
        """A copy of the reply, as if received over the wire: the engine returns its internal lists."""
        kind = type(reply)
        if kind is bytes:
            return reply.decode(self._encoding, self._encoding_errors) if decode else reply
        if kind is list or kind is tuple:
            return [self._decode(item, decode) for item in reply]
        if kind is dict:
            return {self._decode(k, decode): self._decode(v, decode) for k, v in reply.items()}
        return reply


class MemoryPool(redis.asyncio.ConnectionPool):
    """redis-py's pool without locks and telemetry, which cost more CPU than the command itself."""

    async def get_connection(self, command_name: str | None = None, *keys: Any, **options: Any) -> Any:
        """An open connection, most recently used first."""
        connection: MemoryConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        if not connection.is_connected:
            try:
                await connection.connect()
            except BaseException:
                await self.release(connection)
                raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        if cast(MemoryConnection, connection)._should_reconnect:
            await connection.disconnect()
        self._available_connections.append(connection)
