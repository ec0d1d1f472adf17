"""Exit code 0 if an HTTP GET to this container returns 200: `healthcheck.py [PATH [PORT]]`.

The image has no curl, and importing an HTTP client is too slow for thirty containers: with `python -I -S` this takes a
few milliseconds.
"""

import os
import socket
import sys

TIMEOUT_S = 3.0


def main(path: str = "/readyz", port: str = "") -> int:
    address = ("127.0.0.1", int(port or os.environ.get("AFTERSHOCK_PORT", "8080")))
    try:
        with socket.create_connection(address, TIMEOUT_S) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            status = connection.makefile("rb").readline()
    except OSError as error:
        print(f"{path}: {error}")
        return 1
    print(status.decode(errors="replace").strip())
    return 0 if status.split()[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
