"""Redis, in two shapes that answer one contract suite: a server reached by URL, and fakeredis in process.

Services use redis-py's asyncio client directly; this module only makes clients and names keys, so that a key's
spelling stands in one place.
"""

import socket
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

Store = Redis
STORE_ERRORS = (RedisError, OSError)
"""The store is away, or its answer was lost: whether a command took effect is not known."""
CHANGES_CHANNEL = "changes"
DEAD_PEER = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
"""A connection whose peer is gone without a word is given up within five seconds. Not every system has all of them."""


RETRY_FIRST_S, RETRY_MAX_S, RETRIES = 0.05, 1.0, 4
"""Bridges about two seconds, a restart of Redis. redis-py tries again both the command and, within each of those, the
connection: its own ten tries up to ten seconds apart kept a caller waiting for minutes, longer than any lease."""


def patience() -> Retry:
    """How a client tries again before it gives a command up, here and in the virtual Redis."""
    return Retry(ExponentialWithJitterBackoff(base=RETRY_FIRST_S, cap=RETRY_MAX_S), RETRIES)


def connect(url: str) -> Store:
    """A client of a real Redis.

    `socket_timeout` is off because redis-py's 5 s default breaks every blocking read longer than that, so the kernel
    has to find out when the peer is gone; the pool is large because one consumer blocks on one connection.
    Maintenance notifications are off because with them redis-py 8.1.0 hands out connections that the server has closed
    (redis-py issue 4252): after a restart of Redis each idle one would fail a command.
    """
    options = {getattr(socket, name): value for name, value in DEAD_PEER.items() if hasattr(socket, name)}
    client: Store = Redis.from_url(
        url,
        retry=patience(),
        socket_timeout=None,
        socket_connect_timeout=5,
        socket_keepalive=True,
        socket_keepalive_options=options,
        max_connections=1000,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return client


class Keys:
    """Every key of the testbed. Values in braces are instance, service, region, account or resource names."""

    OVERLAY = "overlay"
    FAULT_PREFIX = "fault:"
    EVENTS = "events"
    SEED = "seed"
    MITIGATIONS = "mitigations"
    SECRET = "project-secret"
    LEFTOVERS = "loadgen:leftovers"

    @staticmethod
    def instances(service: str, region: str) -> str:
        return f"instances:{service}:{region}"

    @staticmethod
    def traffic(region: str) -> str:
        return f"traffic:{region}"

    @staticmethod
    def fault(fault_id: str) -> str:
        return f"{Keys.FAULT_PREFIX}{fault_id}"

    @staticmethod
    def damaged(key: str) -> str:
        """Where values of `key` go that could not be read and must not stay."""
        return f"damaged:{key}"

    @staticmethod
    def fault_effects(fault_id: str) -> str:
        return f"fault-effects:{fault_id}"


async def scan(store: Store, pattern: str) -> list[str]:
    """All keys that match, sorted: the order of SCAN is Redis's own and would leak into a run."""
    return sorted([text(key) async for key in store.scan_iter(pattern, count=500)])


def text(value: Any) -> str:
    """A Redis reply as text; the client returns bytes because packages are stored beside names."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
