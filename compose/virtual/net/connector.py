"""`MemoryConnector`: aiohttp's connection pool over the in-memory network.

Only `_get` and `_create_connection` are overridden; pooling, request writing and response parsing are aiohttp's.
`TCPConnector` would work through `loop.getaddrinfo` as well, but it opens real sockets to race addresses.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection

from compose.virtual.net.network import Network
from compose.virtual.net.transport import MemoryTransport


class MemoryConnector(aiohttp.BaseConnector):
    """Connections from one host, without a limit on their number; idle connections never expire."""

    def __init__(self, network: Network, source: str) -> None:
        super().__init__(limit=0, keepalive_timeout=None, loop=network.loop)
        self._network = network
        self._source = source

    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        """An idle connection, but only if a new one would succeed as well.

        Otherwise the error of a request right after a kill, a stop or a partition would depend on the contents of the
        pool, and the direct transport has no pool. For the same reason a connection that its server has just closed is
        not used, although the EOF has not arrived yet.
        """
        idle = self._conns.get(key)
        if idle is None:
            return None
        reachable = self._network.is_open(self._source, key.host, cast(int, key.port))
        while idle and not (reachable and _is_whole(idle[0][0])):
            idle.popleft()[0].close()
        connection = await super()._get(key, traces)
        if connection is not None:
            cast(MemoryTransport, connection.transport).touch()
        return connection

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        key = req.connection_key
        host, port = key.host, cast(int, key.port)
        network, source = self._network, self._source
        try:
            if network.knows(host) and network.hangs(source, host):
                # asyncio.timeout, because aiohttp's rounds long timeouts up to whole seconds of the loop.
                async with asyncio.timeout(timeout.sock_connect):
                    _, protocol = await network.connect(source, host, port, self._factory)
            else:
                _, protocol = network.open(source, host, port, self._factory)
        except socket.gaierror as error:
            raise aiohttp.ClientConnectorDNSError(key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(key, error) from error
        return cast(ResponseHandler, protocol)


def _is_whole(protocol: ResponseHandler) -> bool:
    transport = cast("MemoryTransport | None", protocol.transport)
    return transport is not None and not transport.peer_is_closing()
