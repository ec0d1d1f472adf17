"""The interfaces of the two ends of an `Exchange`."""

from __future__ import annotations

from contextvars import Context
from typing import Any, Protocol

from aiohttp import web
from multidict import CIMultiDict

from compose.virtual.kernel.process import Abortable, Process


class Caller(Abortable, Protocol):
    """The client side of an exchange; implemented by `call.DirectCall`."""

    owner: Process | None

    @property
    def context(self) -> Context:
        """The context of its callbacks."""

    def head(self, status: int, reason: str, headers: CIMultiDict[str], chunk: bytes, last: bool) -> None:
        """The head of the response, with the first chunk of the body."""

    def piece(self, chunk: bytes, last: bool) -> None:
        """A further chunk of the body."""

    def fail(self, error: Exception) -> None:
        """The exchange failed with an error."""

    def disconnected(self) -> None:
        """The server closed its end."""


class Taker(Protocol):
    """The server side of an exchange; implemented by `server.DirectServer`."""

    app: web.Application
    address: tuple[str, int]
    open: dict[Any, None]
    connections: dict[Any, None]

    def context(self) -> Context:
        """A new context of the server's process."""
