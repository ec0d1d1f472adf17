"""A Redis for machines without one: fakeredis behind a real socket, in a process of its own.

`python -m compose.embedded_redis PORT`. Good for one machine and one run; nothing survives its end.
"""

import sys
from threading import Thread

from fakeredis import TcpFakeServer


def main(port: int) -> None:
    server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]))
