"""HTTP over the in-memory network: aiohttp's client, pool, parser and server."""

from typing import Any

import aiohttp
from aiohttp import web

from compose.virtual.net.connector import MemoryConnector
from compose.virtual.net.network import Listener, Network


class HttpTransport:
    """The reference transport of a world."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def session(self, source: str, options: dict[str, Any]) -> aiohttp.ClientSession:
        options.setdefault("cookie_jar", aiohttp.DummyCookieJar())
        session = aiohttp.ClientSession(connector=MemoryConnector(self._network, source), **options)
        # aiohttp retries an idempotent request once when the server disconnects. Retries are a policy under study
        # here: a hidden retry below it would make every retry count wrong.
        session._retry_connection = False
        return session

    def accept(self, _app: web.Application, _listener: Listener) -> None:
        """Nothing: bytes arrive through the protocol factory."""
