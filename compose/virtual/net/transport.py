"""In-memory stream transports: a socket pair without sockets.

Bytes written in one turn of the loop arrive in the next, in the global order of the writes; that order makes runs
repeatable. To the peer `abort()` looks like an orderly close (FIN), as for most real sockets; `reset()` looks like RST.
"""

from __future__ import annotations

import asyncio
import errno
from contextvars import Context
from typing import Any

from compose.virtual.kernel.loop import VirtualLoop
from compose.virtual.kernel.process import runs_after_death
from compose.virtual.net.links import Link, LinkFault

WRITE_HIGH_BYTES = 64 * 1024
"""Above this many undelivered bytes the writer is asked to pause (asyncio's default)."""
WRITE_LOW_BYTES = 16 * 1024


class MemoryTransport(asyncio.Transport):
    """One end of an in-memory connection."""

    __slots__ = (
        "_closing",
        "_context",
        "_eof_sent",
        "_high",
        "_initiator",
        "_last_arrival_s",
        "_loop",
        "_lost_bytes",
        "_low",
        "_missed",
        "_paused",
        "_peer",
        "_protocol",
        "_registries",
        "_unread",
        "_unread_eof",
        "_waiting_bytes",
        "_write_paused",
        "link",
    )

    def __init__(
        self,
        loop: VirtualLoop,
        context: Context,
        link: Link,
        extra: dict[str, Any],
        registries: list[dict[Any, None]],
        *,
        initiator: bool,
    ) -> None:
        """`registries` hold the open connections of the network and of the process; this end adds and removes itself.

        `initiator` marks the end that connected.
        """
        super().__init__(extra)
        self._loop = loop
        self._context = context
        self._registries = registries
        self._initiator = initiator
        self.link = link
        self._protocol: Any = None
        self._peer: MemoryTransport | None = None
        self._closing = False
        self._eof_sent = False
        self._lost_bytes = False
        self._missed: Link | None = None
        self._paused = False
        self._write_paused = False
        self._unread: list[bytes] = []
        self._unread_eof = False
        self._waiting_bytes = 0
        self._last_arrival_s = 0.0
        self._high, self._low = WRITE_HIGH_BYTES, WRITE_LOW_BYTES
        for registry in registries:
            registry[self] = None

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open"
        return f"<MemoryTransport {self.link.source} → {self.link.destination} {state}>"

    def pair_with(self, peer: MemoryTransport) -> None:
        self._peer, peer._peer = peer, self

    # --- writing -------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send. Bytes written after `close` or into a black hole are silently lost."""
        peer = self._peer
        if self._closing or peer is None or not data:
            return
        if self._eof_sent:
            raise RuntimeError("Cannot call write() after write_eof()")
        if type(data) is not bytes:
            data = bytes(data)
        if self._initiator:
            self.touch()
        if self.link.clean and self._last_arrival_s == 0.0:
            self._loop.call_soon(peer._arrive, data, context=peer._context)
        elif not self._send_impaired(peer._arrive, data):
            return
        self._waiting_bytes += len(data)
        if self._waiting_bytes > self._high and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()

    def touch(self) -> None:
        """Mark this connection as used now.

        Connections that end together (a process dies, a fault starts) end in order of last use. The direct transport
        has no idle connections, so this is the only order both transports share.
        """
        for end in (self, self._peer):
            for registry in end._registries if end is not None else ():
                if end in registry:
                    del registry[end]
                    registry[end] = None

    def _send_impaired(self, arrive: Any, *arguments: Any) -> bool:
        """Send over a link that has or had a fault; False if nothing will arrive."""
        link, peer, loop = self.link, self._peer, self._loop
        if peer is None:
            return False
        if link.blackhole or self._lost_bytes:
            self._lost_bytes = True
            return False
        if link.reset:
            self.break_off()
            return False
        # A later byte never overtakes an earlier one, even if the latency has just decreased.
        arrival = self._last_arrival_s = max(self._last_arrival_s, loop.time() + link.latency_s)
        loop.call_at(arrival, arrive, *arguments, context=peer._context)
        return True

    def _send_eof(self) -> None:
        peer = self._peer
        if peer is None or self._eof_sent:
            return
        self._eof_sent = True
        if self.link.clean and self._last_arrival_s == 0.0:
            self._loop.call_soon(peer._arrive_eof, context=peer._context)
        else:
            self._send_impaired(peer._arrive_eof)

    def writelines(self, list_of_data: Any) -> None:
        """Send several chunks as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Half-closing is supported."""
        return True

    def write_eof(self) -> None:
        """Send EOF to the peer; this end can still read."""
        if not self._closing:
            self._send_eof()

    def get_write_buffer_size(self) -> int:
        """Bytes written and not yet delivered to the peer's protocol."""
        return self._waiting_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and high water marks, in bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks in bytes, with asyncio's defaults."""
        if high is None:
            high = WRITE_HIGH_BYTES if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    def _delivered(self, size: int) -> None:
        """The peer has read `size` bytes; resume a paused writer."""
        self._waiting_bytes -= size
        if self._write_paused and self._waiting_bytes <= self._low and not self._closing:
            self._write_paused = False
            self._protocol.resume_writing()

    # --- reading -------------------------------------------------------------------------------------

    def _arrive(self, data: bytes) -> None:
        if self._closing:
            return
        if self._paused or self._unread:
            self._unread.append(data)
            return
        peer = self._peer
        if peer is not None:
            waiting = peer._waiting_bytes = peer._waiting_bytes - len(data)
            if peer._write_paused and waiting <= peer._low:
                self._loop.call_soon(peer._delivered, 0, context=peer._context)
        self._protocol.data_received(data)

    def _arrive_eof(self) -> None:
        if self._closing:
            return
        if self._paused or self._unread:
            self._unread_eof = True
        elif not self._protocol.eof_received():
            self.close()

    def pause_reading(self) -> None:
        """Buffer arriving bytes until `resume_reading`."""
        if not self._closing:
            self._paused = True

    def resume_reading(self) -> None:
        """Deliver the buffered bytes, starting in the next turn."""
        if self._closing or not self._paused:
            return
        self._paused = False
        if self._unread or self._unread_eof:
            self._loop.call_soon(self._read_on, context=self._context)

    def _read_on(self) -> None:
        while self._unread and not self._paused and not self._closing:
            data = self._unread.pop(0)
            if self._peer is not None:
                self._loop.call_soon(self._peer._delivered, len(data), context=self._peer._context)
            self._protocol.data_received(data)
        if self._unread_eof and not self._unread and not self._paused:
            self._unread_eof = False
            self._arrive_eof()

    def is_reading(self) -> bool:
        """Whether arriving bytes go to the protocol."""
        return not self._paused and not self._closing

    # --- ending --------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether this end is closed or about to be."""
        return self._closing

    def peer_is_closing(self) -> bool:
        """Whether the other end is closed; this end may not have received the EOF yet."""
        return self._peer is None or self._peer._closing

    def close(self) -> None:
        """Orderly close: bytes already written still arrive, then the peer reads EOF."""
        if not self._closing:
            self._send_eof()
            self._end(None)

    def abort(self) -> None:
        """Close at once; to the peer it looks like `close`, as with real sockets."""
        self.close()

    def apply_fault(self, fault: LinkFault) -> None:
        """Close or reset this connection if a newly started fault matches the link that this end sends over."""
        if fault.matches(self.link.source, self.link.destination):
            if fault.reset:
                self.break_off()
            else:
                self.abort()

    def recover(self) -> None:
        """After the end of a link fault: reset the connection if bytes were lost and the black hole is gone."""
        missed = self._missed
        if (self._lost_bytes and not self.link.blackhole) or (missed is not None and not missed.blackhole):
            self.break_off()

    def break_off(self) -> None:
        """A reset by the link: both ends get ConnectionResetError."""
        error = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if self._peer is not None:
            self._peer._end(error)
        self._end(error)

    def reset(self) -> None:
        """A reset by this end: the peer gets ConnectionResetError instead of EOF."""
        if self._closing:
            return
        if self._peer is not None:
            self._peer._end(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = self._eof_sent = True
        self._unread.clear()
        if self._lost_bytes and self._peer is not None and not self._initiator:
            self._peer._missed = self.link  # the answer is lost and its sender gone: the caller would wait for ever
        for registry in self._registries:
            registry.pop(self, None)
        self._loop.call_soon(self._lose, error, context=self._context)

    @runs_after_death
    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol, self._peer = self._protocol, None, None
        if protocol is not None:
            protocol.connection_lost(error)

    # --- the rest of the interface ---------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol
