"""What the kernel asks of a network, so that the loop need not know one."""

import asyncio
from collections.abc import Callable
from typing import Protocol

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class NetworkPort(Protocol):
    """Names, listeners and connections; `net.network.Network` is one."""

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
