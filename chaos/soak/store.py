"""Contents of the store by key family: number of keys, number of entries, bytes of payload."""

import re
from collections import Counter
from typing import Any, NamedTuple

from services.chassis.store import Store, text

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]+|(?<=:)f\d+|[0-9a-f]{24,}")
SCORE_BYTES = 8


class Stock(NamedTuple):
    """Sums over the keys of one family, or of all families."""

    keys: int
    entries: int
    size_bytes: int


async def stock(store: Store) -> dict[str, Stock]:
    """The stock by family; a family is the key with its ids replaced by `*`."""
    keys: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    async for raw in store.scan_iter(count=1000):
        family = _ID.sub("*", text(raw))
        count, size_bytes = await _measure(store, raw)
        keys[family] += 1
        entries[family] += count
        sizes[family] += size_bytes + len(raw)
    return {family: Stock(keys[family], entries[family], sizes[family]) for family in sorted(keys)}


async def _measure(store: Any, key: bytes) -> tuple[int, int]:
    match text(await store.type(key)):
        case "string":
            return 1, int(await store.strlen(key))
        case "hash":
            rows = await store.hgetall(key)
            return len(rows), sum(len(name) + len(value) for name, value in rows.items())
        case "zset":
            members = await store.zrange(key, 0, -1)
            return len(members), sum(len(member) + SCORE_BYTES for member in members)
        case "set":
            members = await store.smembers(key)
            return len(members), sum(map(len, members))
        case "stream":
            lines = await store.xrange(key)
            return len(lines), sum(len(k) + len(v) for _, fields in lines for k, v in (fields or {}).items())
        case _:
            return 0, 0


def total(stocks: dict[str, Stock]) -> Stock:
    rows = list(stocks.values())
    return Stock(sum(row.keys for row in rows), sum(row.entries for row in rows), sum(row.size_bytes for row in rows))
