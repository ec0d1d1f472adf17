"""What may change while a service runs: the settings overlay (mitigations) and the fault rules.

Both live in Redis. A change is announced on one pub/sub channel, so nobody polls when nothing happens; a slow poll
covers an announcement that was lost with a connection.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from services.chassis.clock import Clock
from services.chassis.faults import FaultRule
from services.chassis.settings import Tree, merge
from services.chassis.store import CHANGES_CHANNEL, Keys, Store, scan, text

POLL_S = 30.0
RECONNECT_S = 0.5


class Live:
    """The current settings tree and the fault rules that concern one instance."""

    def __init__(self, store: Store, clock: Clock, base: Tree, who: tuple[str, str, str]) -> None:
        self._store = store
        self._clock = clock
        self._base = base
        self._who = who
        self._overlay_raw = ""
        self.tree = base
        self.rules: dict[str, FaultRule] = {}
        self._listeners: list[Callable[[str], Any]] = []

    def on_change(self, listener: Callable[[str], Any]) -> None:
        """`listener(topic)` runs after each reload; topic is `settings`, `faults` or what was announced."""
        self._listeners.append(listener)

    async def reload(self, topic: str = "settings") -> None:
        """Reads overlay and rules afresh and tells the listeners."""
        await self._reload_overlay()
        await self._reload_rules()
        for listener in self._listeners:
            result = listener(topic)
            if asyncio.iscoroutine(result):
                await result

    async def _reload_overlay(self) -> None:
        raw = text(await self._store.get(Keys.OVERLAY) or "")
        if raw != self._overlay_raw:
            self._overlay_raw = raw
            self.tree = merge(self._base, json.loads(raw) if raw else {})

    async def _reload_rules(self) -> None:
        keys = sorted(await scan(self._store, f"{Keys.FAULT_PREFIX}*"), key=lambda key: (len(key), key))
        raws = await self._store.mget(keys) if keys else []
        fresh = [FaultRule.from_json(raw) for raw in raws if raw]
        mine = {rule.id: rule for rule in fresh if rule.target.matches_instance(*self._who)}
        # A known rule keeps its counters: a reload must not restart `fail_first`.
        self._replace({id_: self.rules.get(id_, rule) for id_, rule in mine.items()})

    def active_rules(self) -> list[FaultRule]:
        """Rules whose lease still runs; the others are forgotten."""
        now = self._clock.epoch()
        if any(now >= rule.expires_at for rule in self.rules.values()):
            self._replace({id_: rule for id_, rule in self.rules.items() if now < rule.expires_at})
        return list(self.rules.values())

    def _replace(self, rules: dict[str, FaultRule]) -> None:
        """What a rule holds is let go with it."""
        ended = self.rules.keys() - rules.keys()
        for id_ in sorted(ended):
            self.rules[id_].over.set()
        self.rules = rules

    async def follow(self) -> None:
        """Reloads on every announcement until cancelled; survives a Redis restart."""
        while True:
            try:
                await self._follow_once()
            except (RedisError, OSError):
                await asyncio.sleep(RECONNECT_S)

    async def _follow_once(self) -> None:
        async with self._store.pubsub() as channel:
            await channel.subscribe(CHANGES_CHANNEL)
            await self.reload()
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
                await self.reload(_topic(message))


def _topic(message: Any) -> str:
    return message["data"].decode() if message else "settings"


async def announce(store: Store, topic: str) -> None:
    """Tells every instance to reload. Topics: `settings`, `faults`, `traffic`."""
    await store.publish(CHANGES_CHANNEL, topic)
