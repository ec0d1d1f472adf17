"""A Redis for machines without one: fakeredis behind a real socket, in a process of its own.

`python -m compose.embedded_redis PORT`. Good for one machine and one run; nothing survives its end.
"""

import sys
from threading import Thread
from typing import Any

from fakeredis import TcpFakeServer
from fakeredis._clients import _tcp_server
from redis.exceptions import ResponseError

PUSH_POLL_S = 0.05
"""How late a published message may be. fakeredis looks every 10 ms, in a thread for each connection: half a core."""


class _Handler(_tcp_server.TCPFakeRequestHandler):  # type: ignore[misc]  # fakeredis has no types here
    """fakeredis 2.40.0 hangs up after every error reply; a Redis goes on, and `XGROUP CREATE` is answered by one."""

    def setup(self) -> None:
        super().setup()
        raising = self.current_client.read_response

        def read_response() -> Any:
            try:
                return raising()
            except ResponseError as error:
                return error

        self.current_client.read_response = read_response


def main(port: int) -> None:
    _tcp_server._POLL_INTERVAL = PUSH_POLL_S
    server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    server.RequestHandlerClass = _Handler
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
