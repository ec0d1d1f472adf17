"""The HTTP transports of a world, by name.

`http` is the reference: HTTP bytes in memory. Transports are imported on request, so that the folder of another
transport can be deleted without other changes.
"""

from pkgutil import resolve_name
from typing import Any, Protocol, cast

import aiohttp
from aiohttp import web

from compose.virtual.net.network import Acceptor, Listener, Network

CLASSES = {
    "http": "compose.virtual.net.http:HttpTransport",
    "direct": "compose.virtual.direct.transport:DirectTransport",
}


class WorldTransport(Protocol):
    """The interface of a transport: how clients of a world reach its applications."""

    def session(self, source: str, options: dict[str, Any]) -> aiohttp.ClientSession:
        """An HTTP client on host `source`; `options` as for `aiohttp.ClientSession`."""

    def accept(self, app: web.Application, listener: Listener) -> Acceptor | None:
        """The acceptor for the listener of `app`; None if the transport uses the protocol factory."""


def load(name: str, network: Network) -> WorldTransport:
    """The transport `name` over `network`.

    Raises:
        KeyError: the name is unknown.
        ModuleNotFoundError: the module of the transport is missing.
    """
    return cast(WorldTransport, resolve_name(CLASSES[name])(network))
