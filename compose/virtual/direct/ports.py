"""The two ends of an `Exchange`, as it sees them."""

from __future__ import annotations

from contextvars import Context
from typing import Any, Protocol

from aiohttp import web
from multidict import CIMultiDict

from compose.virtual.kernel.process import Abortable, Process


class Caller(Abortable, Protocol):
    """The client's side of an exchange; `call.DirectCall` is one."""

    owner: Process | None

    @property
    def context(self) -> Context:
        """In which its callbacks run."""

    def head(self, status: int, reason: str, headers: CIMultiDict[str], chunk: bytes, last: bool) -> None:
        """The response begins."""

    def piece(self, chunk: bytes, last: bool) -> None:
        """More of the body."""

    def fail(self, error: Exception) -> None:
        """The exchange ends with an error."""

    def disconnected(self) -> None:
        """The server's end is gone."""


class Taker(Protocol):
    """The server's side; `server.DirectServer` is one."""

    app: web.Application
    address: tuple[str, int]
    open: dict[Any, None]
    connections: dict[Any, None]

    def context(self) -> Context:
        """A fresh context of the server's process."""
