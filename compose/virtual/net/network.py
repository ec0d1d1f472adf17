"""`Network`: hosts, listeners and connections, all in memory.

A host is a name, and a name is its own address. On a link without faults, connecting takes no virtual time and no turn
of the loop. A real handshake costs a round trip; here that would make a new connection differ from a pooled one, and
the direct transport has neither.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, Protocol

from compose.virtual.kernel.loop import OWNER, VirtualLoop
from compose.virtual.kernel.ports import ProtocolFactory
from compose.virtual.kernel.process import Process
from compose.virtual.net.links import Link, LinkFault, Links
from compose.virtual.net.transport import MemoryTransport

ANY_HOST = ("", "0.0.0.0", "::", "*")
CLIENT_PORT = 49152
"""Port of every client. A counter would differ between the transports, and the port reaches the logs."""


class Acceptor(Protocol):
    """Direct entry to an application without bytes, attached to its listener by a transport that has one."""

    async def drain(self, timeout_s: float) -> None:
        """Wait for running handlers, as a graceful shutdown does."""


class Listener(asyncio.AbstractServer):
    """A listening address; looks like `asyncio.Server` to aiohttp."""

    def __init__(self, network: Network, host: str, port: int, factory: ProtocolFactory, owner: Process | None) -> None:
        self.host, self.port = host, port
        self.factory = factory
        self.owner = owner
        self.acceptor: Acceptor | None = None
        self._network = network
        self._context = owner.context() if owner is not None else copy_context()
        if owner is not None:
            owner.open[self] = None

    def __repr__(self) -> str:
        return f"<Listener {self.host}:{self.port}>"

    @property
    def sockets(self) -> tuple[_Address, ...]:
        """The listening address, for `AppRunner.addresses`."""
        return (_Address(self.host, self.port),) if self.is_serving() else ()

    def context(self) -> Context:
        """The context of one accepted connection: the server's, without the caller's variables."""
        return self._context.copy()

    def is_serving(self) -> bool:
        return self._network.listener(self.host, self.port) is self

    def close(self) -> None:
        """Refuse new connections; open connections stay open."""
        self._network.unlisten(self)

    abort = close

    async def start_serving(self) -> None:
        """No operation: listening starts when the object is created."""

    async def serve_forever(self) -> None:
        """Wait forever: the loop already serves."""
        await self._network.loop.create_future()

    def get_loop(self) -> VirtualLoop:
        return self._network.loop

    async def wait_closed(self) -> None:
        """Return at once."""


class _Address:
    """Replaces the socket in `Listener.sockets`."""

    def __init__(self, host: str, port: int) -> None:
        self._name = (host, port)

    def getsockname(self) -> tuple[str, int]:
        return self._name


class Network:
    """The only way from one simulated process to another."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.links = Links()
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._hosts: dict[str, None] = {}
        self.connections: dict[Any, None] = {}
        self._watchers: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Network {len(self._listeners)} listeners, {len(self.connections)} connections>"

    # --- names ---------------------------------------------------------------------------------------

    def knows(self, host: str) -> bool:
        """Whether the name resolves. A host stays known after its process has died."""
        return host in self._hosts

    def add_host(self, host: str) -> None:
        """Make a name resolve before anything listens on it."""
        self._hosts[host] = None

    def here(self) -> str:
        """The host of the current simulated process; `localhost` outside of one."""
        owner = OWNER.get()
        return owner.name if isinstance(owner, Process) else "localhost"

    # --- listening and connecting ----------------------------------------------------------------------

    def listen(self, host: str, port: int, factory: ProtocolFactory) -> Listener:
        """Accept connections for `host:port` on behalf of the current process.

        Raises OSError if the address is in use.
        """
        owner = OWNER.get()
        host = self.here() if host in ANY_HOST else host
        if not port:
            port = next(free for free in range(8000, 65536) if (host, free) not in self._listeners)
        if (host, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {host}:{port}")
        self.add_host(host)
        listener = Listener(self, host, port, factory, owner if isinstance(owner, Process) else None)
        self._listeners[host, port] = listener
        return listener

    def unlisten(self, listener: Listener) -> None:
        if self.listener(listener.host, listener.port) is listener:
            del self._listeners[listener.host, listener.port]
        if listener.owner is not None:
            listener.owner.open.pop(listener, None)

    def listener(self, host: str, port: int) -> Listener | None:
        """The listener for this address, if there is one."""
        return self._listeners.get((host, port))

    def check_route(self, source: str, host: str, port: int) -> Listener:
        """The listener a connect would reach. Raises `socket.gaierror` (unknown name) or ConnectionRefusedError."""
        listener = self._listeners.get((host, port))
        if listener is not None and self.links.between(source, host).clean:
            return listener
        if not self.knows(host):
            raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {host}")
        if listener is None or self.links.between(source, host).refuse:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ('{host}', {port})")
        return listener

    def is_open(self, source: str, host: str, port: int) -> bool:
        """Whether a connect would succeed now."""
        if (host, port) not in self._listeners:
            return False
        there, back = self.links.between(source, host), self.links.between(host, source)
        return (there.clean and back.clean) or not (there.blackhole or back.blackhole or there.refuse)

    def hangs(self, source: str, host: str) -> bool:
        """Whether a connect would get no answer: the link there or back is a black hole."""
        there, back = self.links.between(source, host), self.links.between(host, source)
        return there.blackhole or back.blackhole

    async def connect(self, source: str, host: str, port: int, factory: ProtocolFactory) -> tuple[MemoryTransport, Any]:
        """Connect from `source`. Waits while the link is a black hole; raises OSError when refused."""
        await self.reach(source, host)
        return self.open(source, host, port, factory)

    async def reach(self, source: str, host: str) -> None:
        """Wait while the link to a known host is a black hole."""
        while self.knows(host) and self.hangs(source, host):
            await self._next_change()

    def open(self, source: str, host: str, port: int, factory: ProtocolFactory) -> tuple[MemoryTransport, Any]:
        """Connect at once; the caller has checked that the link is not a black hole."""
        listener = self.check_route(source, host, port)
        there, back = self.links.between(source, host), self.links.between(host, source)
        owner = OWNER.get()
        names = ((source, CLIENT_PORT), (host, port))
        client_end = self._end(copy_context(), owner, there, *names, initiator=True)
        server_end = self._end(listener.context(), listener.owner, back, *reversed(names), initiator=False)
        client_end.pair_with(server_end)
        server_end._context.run(self._accept, listener, server_end)
        protocol = factory()
        client_end.set_protocol(protocol)
        protocol.connection_made(client_end)
        return client_end, protocol

    def _end(
        self,
        context: Context,
        owner: Any,
        link: Link,
        here: tuple[str, int],
        there: tuple[str, int],
        *,
        initiator: bool,
    ) -> MemoryTransport:
        extra = {"peername": there, "sockname": here, "socket": None, "sslcontext": None}
        registries = [self.connections, owner.open] if isinstance(owner, Process) else [self.connections]
        return MemoryTransport(self.loop, context, link, extra, registries, initiator=initiator)

    @staticmethod
    def _accept(listener: Listener, transport: MemoryTransport) -> None:
        protocol = listener.factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    # --- faults --------------------------------------------------------------------------------------

    def start_fault(self, fault: LinkFault) -> None:
        """Activate a link fault; `refuse` and `reset` also end open connections."""
        self.links.add(fault)
        if fault.refuse or fault.reset:
            for end in list(self.connections):
                end.apply_fault(fault)
        self._changed()

    def stop_fault(self, fault: LinkFault) -> None:
        self.links.remove(fault)
        self._recover()

    @contextmanager
    def fault(self, source: str = "*", destination: str = "*", **what: Any) -> Iterator[LinkFault]:
        """A link fault for the duration of a `with` block."""
        fault = LinkFault(source, destination, **what)
        self.start_fault(fault)
        try:
            yield fault
        finally:
            self.stop_fault(fault)

    def partition(self, left: str, right: str) -> tuple[LinkFault, LinkFault]:
        """Partition two groups of hosts: bytes in both directions are lost."""
        faults = LinkFault(left, right, blackhole=True), LinkFault(right, left, blackhole=True)
        for fault in faults:
            self.start_fault(fault)
        return faults

    def _recover(self) -> None:
        """Reset the connections that lost bytes in a black hole that has now ended, so that no peer waits for them."""
        for end in list(self.connections):
            end.recover()
        self._changed()

    async def _next_change(self) -> None:
        changed = self.loop.create_future()
        self._watchers.append(changed)
        await changed

    def _changed(self) -> None:
        watchers, self._watchers = self._watchers, []
        for changed in watchers:
            if not changed.done():
                changed.set_result(None)
