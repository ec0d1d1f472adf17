"""The interface the kernel needs from a network, so that the loop does not depend on an implementation."""

import asyncio
from collections.abc import Callable
from typing import Protocol

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class NetworkPort(Protocol):
    """Names, listeners and connections; implemented by `net.network.Network`."""

    def knows(self, host: str) -> bool:
        """Whether the name resolves."""

    def here(self) -> str:
        """The host of the simulated process that is running now."""

    def listen(self, host: str, port: int, factory: ProtocolFactory) -> asyncio.AbstractServer:
        """Accept connections for `host:port`; port 0 picks a free one."""

    async def connect(
        self, source: str, host: str, port: int, factory: ProtocolFactory
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect from `source`; raises OSError when refused."""
