"""State that may change while a service runs: the settings overlay (mitigations) and the fault rules.

Both are stored in Redis. Changes are announced on one pub/sub channel, so there is no fast polling; a slow poll covers
announcements that were lost with a connection.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from services.chassis.clock import Clock
from services.chassis.faults import FaultRule
from services.chassis.settings import Tree, check_shape, merge
from services.chassis.store import CHANGES_CHANNEL, Keys, Store, scan, text
from services.chassis.stored import Stored, StoredShape

POLL_S = 30.0
EVERYTHING = "everything"
"""The topic of a reload by the slow poll, without an announcement."""
_OVERLAY: StoredShape[Tree] = StoredShape(dict[str, Any])


class Live:
    """The current settings tree and the fault rules that apply to one instance."""

    def __init__(self, store: Store, stored: Stored, clock: Clock, base: Tree, who: tuple[str, str, str]) -> None:
        self._store = store
        self._stored = stored
        self._clock = clock
        self._base = base
        self._who = who
        self._overlay_raw: bytes | str | None = None
        self.tree = base
        self.rules: dict[str, FaultRule] = {}
        self._listeners: list[Callable[[str], Any]] = []

    def on_change(self, listener: Callable[[str], Any]) -> None:
        """Calls `listener(topic)` after each reload; the topic is the announced one, or `EVERYTHING`."""
        if listener not in self._listeners:  # a repeated start subscribes only once
            self._listeners.append(listener)

    async def reload(self, topic: str = EVERYTHING) -> None:
        """Reads overlay and rules again and calls all listeners, even if one of them fails."""
        await self._reload_overlay()
        await self._reload_rules()
        failure: Exception | None = None
        for listener in self._listeners:
            try:
                result = listener(topic)
                if asyncio.iscoroutine(result):
                    await result
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _reload_overlay(self) -> None:
        raw = await self._store.get(Keys.OVERLAY)
        if raw != self._overlay_raw:
            self._overlay_raw = raw
            try:
                self.tree = merge(self._base, {} if raw is None else read_overlay_value(raw))
            except ValueError as error:  # keep the current settings
                self._stored.refuse(raw, Keys.OVERLAY, "", str(error))

    async def _reload_rules(self) -> None:
        keys = sorted(await scan(self._store, f"{Keys.FAULT_PREFIX}*"), key=lambda key: (len(key), key))
        raws = await self._store.mget(keys) if keys else []
        fresh = [
            rule for key, raw in zip(keys, raws, strict=True) if raw is not None and (rule := self._rule(key, raw))
        ]
        mine = {rule.id: rule for rule in fresh if rule.target.matches_instance(*self._who)}
        # A known rule keeps its counters: a reload must not restart `fail_first`.
        self._replace({id_: self.rules.get(id_, rule) for id_, rule in mine.items()})

    def _rule(self, key: str, raw: Any) -> FaultRule | None:
        try:
            return FaultRule.from_json(raw)
        except ValueError as error:
            self._stored.refuse(raw, key, "", str(error))
            return None

    def active_rules(self) -> list[FaultRule]:
        """Rules whose lease has not ended; the others are dropped."""
        now = self._clock.epoch()
        if any(now >= rule.expires_at for rule in self.rules.values()):
            self._replace({id_: rule for id_, rule in self.rules.items() if now < rule.expires_at})
        return list(self.rules.values())

    def _replace(self, rules: dict[str, FaultRule]) -> None:
        """Sets the current rules. Requests held by a removed rule are released."""
        ended = self.rules.keys() - rules.keys()
        for id_ in sorted(ended):
            self.rules[id_].over.set()
        self.rules = rules

    async def follow(self) -> None:
        """Reloads at once and on every announcement, until cancelled or until the store fails."""
        async with self._store.pubsub() as channel:
            await channel.subscribe(CHANGES_CHANNEL)
            await self.reload()
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
                await self.reload(_topic(message))


def read_overlay_value(raw: bytes | str) -> Tree:
    """Parses a stored overlay.

    Raises:
        ValueError: it is not a settings tree.
    """
    overlay = _OVERLAY.read(raw)
    check_shape(overlay)
    return overlay


def _topic(message: Any) -> str:
    return text(message["data"]) if message else EVERYTHING


async def announce(store: Store, topic: str) -> None:
    """Publishes a reload to every instance. Topics: `settings`, `faults`, `traffic`."""
    await store.publish(CHANGES_CHANNEL, topic)
