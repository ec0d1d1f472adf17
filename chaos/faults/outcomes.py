"""What comes of starting and ending faults."""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

from redis.exceptions import RedisError

STORE_PATIENCE_S = 1.0
STORE_FAILURES = (TimeoutError, RedisError, OSError)
T = TypeVar("T")


class UnknownFault(LookupError):
    """No fault of that id is active."""


class StoreSilent(RuntimeError):
    """The store does not answer.

    No fault can be started without it: a successor could not find and revert the fault.
    """


async def promptly(work: Awaitable[T]) -> T:
    """
    Raises:
        StoreSilent: the store did not answer within `STORE_PATIENCE_S`.
    """
    try:
        async with asyncio.timeout(STORE_PATIENCE_S):
            return await work
    except STORE_FAILURES as error:
        raise StoreSilent(f"the store does not answer within {STORE_PATIENCE_S:g} s; try again later") from error


class EndedFaults(NamedTuple):
    """How many faults were ended, and which could not be, as `id: reason`."""

    ended: int
    unmet: tuple[str, ...]
