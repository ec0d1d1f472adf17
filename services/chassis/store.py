"""The Redis store: clients and key names.

Services use redis-py's asyncio client directly, with a server or with fakeredis in process; both pass one contract
suite. Key names are spelled only here.
"""

import socket
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

Store = Redis
RedisType = Literal["string", "hash", "zset", "set", "stream"]
STORE_ERRORS = (RedisError, OSError)
"""The store is unavailable or its response was lost: the command may or may not have taken effect."""
CHANGES_CHANNEL = "changes"
DEAD_PEER = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
"""TCP keepalive: a connection whose peer vanished is closed within five seconds. Some systems lack some options."""


RETRY_FIRST_S, RETRY_MAX_S, RETRIES = 0.05, 1.0, 4
"""Covers about two seconds, a restart of Redis. redis-py retries the command and, within each of these retries, the
connection: its default of ten tries up to ten seconds apart blocked callers for minutes, longer than any lease."""


def patience() -> Retry:
    """The retry policy of a client, here and in the virtual Redis."""
    return Retry(ExponentialWithJitterBackoff(base=RETRY_FIRST_S, cap=RETRY_MAX_S), RETRIES)


def connect(url: str) -> Store:
    """A client of a real Redis.

    `socket_timeout` is off because redis-py's default of 5 s breaks longer blocking reads; TCP keepalive detects a dead
    peer instead. The pool is large because each consumer blocks one connection. Maintenance notifications are off
    because redis-py 8.1.0 then reuses connections that the server has closed (redis-py issue 4252): after a restart of
    Redis each idle one would fail a command.
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
    TYPES: ClassVar[Mapping[str, RedisType]] = {
        OVERLAY: "string",
        MITIGATIONS: "string",
        SEED: "string",
        SECRET: "string",
        EVENTS: "stream",
        LEFTOVERS: "zset",
    }
    """The Redis type of each key with a fixed name."""

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
        """The key under which unreadable values of `key` are set aside."""
        return f"damaged:{key}"

    @staticmethod
    def fault_effects(fault_id: str) -> str:
        return f"fault-effects:{fault_id}"


async def scan(store: Store, pattern: str) -> list[str]:
    """All matching keys, sorted: SCAN's order is arbitrary and would make runs differ."""
    return sorted([text(key) async for key in store.scan_iter(pattern, count=500)])


def text(value: Any) -> str:
    """A Redis reply as text. The client returns bytes because some values are package contents."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
