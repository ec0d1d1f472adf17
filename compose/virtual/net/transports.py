"""The two ways of HTTP through a world, by name.

The reference is `http`: real bytes in memory. Any other is loaded when it is asked for, so that deleting its folder
takes nothing away but itself.
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
    """How clients of a world reach its applications."""

    def session(self, source: str, options: dict[str, Any]) -> aiohttp.ClientSession:
        """The HTTP client of host `source`; `options` as for `aiohttp.ClientSession`."""

    def accept(self, app: web.Application, listener: Listener) -> Acceptor | None:
        """What the listener of `app` needs besides its protocol factory."""


def load(name: str, network: Network) -> WorldTransport:
    """The transport `name` over `network`.

    Raises:
        KeyError: an unknown name.
        ModuleNotFoundError: the transport's folder is not there.
    """
    return cast(WorldTransport, resolve_name(CLASSES[name])(network))
