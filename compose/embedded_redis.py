"""A Redis for machines without `redis-server`: fakeredis behind a real socket, in a separate process.

`python -m compose.embedded_redis PORT`. For one machine and one run; nothing is persisted.
"""

import sys
from threading import Thread
from typing import Any

from fakeredis import TcpFakeServer
from fakeredis._clients import _tcp_server
from redis.exceptions import ResponseError

PUSH_POLL_S = 0.05
"""Poll interval for published messages, in seconds.

fakeredis' own, 10 ms in a thread per connection, uses half a core.
"""


class _Handler(_tcp_server.TCPFakeRequestHandler):  # type: ignore[misc]  # fakeredis has no types here
    """Keeps the connection open after an error reply, as Redis does. fakeredis 2.40.0 closes it.

    The services rely on this: `XGROUP CREATE` for an existing group is answered with an error.
    """

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
