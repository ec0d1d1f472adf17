"""Drops packets from this network namespace to given IPv4 addresses, until SIGTERM or the end of a lease.

`python -m compose.container.blackhole LEASE_S IP...` runs in a helper container that shares the victim's network
namespace and is the only one with NET_ADMIN. It pins each address to an unused MAC: packets are lost on new and open
connections, as behind a failed switch. A blackhole route is no alternative: it fails connects at once with EINVAL.

Cuts may overlap. Each helper holds one abstract Unix socket per address; such a socket belongs to the network namespace
and is closed with its process. The last helper that holds a socket for an address restores the address.
"""

import signal
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

UNUSED_MAC = bytes.fromhex("020000000001")
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETROUTE = 28, 29, 26
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x400
NLMSG_ERROR = 2
NUD_PERMANENT = 0x80
NDA_DST, NDA_LLADDR = 1, 2
RTA_DST, RTA_OIF = 1, 4
KEPT_MAX = 64
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + b"\0" * padding


def attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    while len(raw) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(raw)
        yield kind, raw[ATTRIBUTE.size : length]
        raw = raw[(length + 3) & ~3 :]


def request(kind: int, flags: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body


def neighbour(address: bytes, interface: int, *, cut: bool) -> bytes:
    """The request that pins `address` to an unused MAC, or removes that entry."""
    body = struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, interface, NUD_PERMANENT, 0, 0) + attribute(NDA_DST, address)
    if cut:
        return request(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body + attribute(NDA_LLADDR, UNUSED_MAC))
    return request(RTM_DELNEIGH, NLM_F_ACK, body)


def route(address: bytes) -> bytes:
    """The request for the interface of the route to `address`."""
    return request(
        RTM_GETROUTE, 0, struct.pack("=BBBBBBBBI", socket.AF_INET, 32, *[0] * 7) + attribute(RTA_DST, address)
    )


class Kernel:
    """One rtnetlink socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def ask(self, message: bytes) -> bytes:
        """The body of the reply.

        Raises:
            OSError: the kernel returned an error; carries its errno.
        """
        self._socket.send(message)
        answer = self._socket.recv(65536)
        _, kind, *_ = HEADER.unpack_from(answer)
        body = answer[HEADER.size :]
        if kind == NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", body)
            if code:
                raise OSError(-code, f"rtnetlink refused: errno {-code}")
        return body

    def interface(self, address: bytes) -> int:
        for kind, value in attributes(self.ask(route(address))[12:]):
            if kind == RTA_OIF:
                return int(struct.unpack("=i", value)[0])
        raise OSError(f"no route to {socket.inet_ntoa(address)}")


def keep(address: bytes) -> socket.socket:
    """Binds a socket that tells the other helpers in this network namespace to keep the address cut off."""
    for number in range(KEPT_MAX):
        mine = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mine.bind(f"\0{_mark(address)}{number}")
        except OSError:
            mine.close()
        else:
            return mine
    raise OSError(f"more than {KEPT_MAX} cuts of {socket.inet_ntoa(address)}")


def is_kept(address: bytes) -> bool:
    with open("/proc/net/unix", encoding="utf-8") as table:
        return any(f"@{_mark(address)}" in line for line in table)


def _mark(address: bytes) -> str:
    return f"aftershock-cut/{socket.inet_ntoa(address)}/"


def main(arguments: Sequence[str]) -> None:
    lease_s, addresses = float(arguments[0]), [socket.inet_aton(text) for text in arguments[1:]]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    kernel = Kernel()
    kept = {address: keep(address) for address in addresses}
    interfaces = {address: kernel.interface(address) for address in addresses}
    for address, interface in interfaces.items():
        kernel.ask(neighbour(address, interface, cut=True))
    print("cut", *arguments[1:], flush=True)
    signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, lease_s)
    for address, interface in interfaces.items():
        kept[address].close()
        if not is_kept(address):
            with suppress(OSError):  # another helper that ended at the same time has restored it already
                kernel.ask(neighbour(address, interface, cut=False))
    print("restored", *arguments[1:], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
