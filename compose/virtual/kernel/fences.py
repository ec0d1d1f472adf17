"""The event-loop methods that would leave the simulation: each raises `LeftTheSimulation` with its name.

`run_in_executor` is the exception: it runs the function inline, because file and CPU work are deterministic. It takes
no virtual time, and the result is set before the caller's next turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

FENCED_METHODS = {
    "add_reader": "an in-memory transport",
    "remove_reader": "an in-memory transport",
    "add_writer": "an in-memory transport",
    "remove_writer": "an in-memory transport",
    "sock_recv": "loop.create_connection",
    "sock_recv_into": "loop.create_connection",
    "sock_recvfrom": "loop.create_connection",
    "sock_recvfrom_into": "loop.create_connection",
    "sock_sendall": "loop.create_connection",
    "sock_sendto": "loop.create_connection",
    "sock_connect": "loop.create_connection, or VirtualWorld.session for aiohttp",
    "sock_accept": "loop.create_server",
    "sock_sendfile": "loop.create_connection",
    "sendfile": "web.Response(body=...)",
    "start_tls": "plain HTTP",
    "create_datagram_endpoint": "",
    "create_unix_connection": "loop.create_connection",
    "create_unix_server": "loop.create_server",
    "connect_accepted_socket": "loop.create_server",
    "connect_read_pipe": "",
    "connect_write_pipe": "",
    "subprocess_exec": "VirtualWorld.process",
    "subprocess_shell": "VirtualWorld.process",
    "add_signal_handler": "Process.kill or Process.freeze",
    "getnameinfo": "",
    "set_default_executor": "",
}
"""Refused loop methods, and what to use instead."""


class FencedLoop(asyncio.AbstractEventLoop):
    """Mix-in for `VirtualLoop`. The methods in `FENCED_METHODS` are generated below."""

    def fence(self, call: str, instead: str = "") -> None:
        """Refuse `call`; implemented by the loop."""
        raise NotImplementedError

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` now, in this thread: a worker thread would finish at a non-deterministic time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            future.set_exception(error)
        return future


def _refusal(method: str, instead: str) -> Callable[..., None]:
    def refuse(self: FencedLoop, *_args: Any, **_options: Any) -> None:
        self.fence(f"loop.{method}", instead)

    refuse.__name__ = method
    refuse.__doc__ = f"Refused: it would leave the simulation. Instead: {instead or 'nothing'}."
    return refuse


for _method, _instead in FENCED_METHODS.items():
    setattr(FencedLoop, _method, _refusal(_method, _instead))
