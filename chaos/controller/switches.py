"""Switching mitigations in the running services, serialised.

The active mitigations are written to the store together with their settings, so that a restarted controller can switch
them off.
"""

import asyncio
import json
from collections.abc import Callable

from chaos.experiment.operations import change_overlay
from chaos.experiment.switching import relaid
from chaos.mitigations import catalogue, expand, run_time_overlay
from compose.runtime import Runtime
from services.chassis.events import Events
from services.chassis.settings import Tree
from services.chassis.store import Keys
from services.chassis.stored import Stored, StoredShape

_NAMES: StoredShape[list[str]] = StoredShape(list[str])


class Switches:
    """`base()` gives the overlay without mitigations, whose values apply again when a mitigation is switched off.

    `size` is the scenario's.
    """

    def __init__(self, runtime: Runtime, events: Events, base: Callable[[], Tree], size: float) -> None:
        self._runtime = runtime
        self._events = events
        self._stored = Stored(events.emit)
        self._base = base
        self._size = size
        self._one_at_a_time = asyncio.Lock()
        self.on: set[str] = set()

    async def switch(self, name: str, *, on: bool) -> set[str]:
        """Switches a mitigation or bundle; returns the mitigations that are on afterwards.

        Raises:
            SettingsError: it is unknown, or cannot be switched while services run.
        """
        run_time_overlay([name])
        names = set(expand([name]))
        async with self._one_at_a_time:
            wanted = self.on | names if on else self.on - names
            before, after = (run_time_overlay(sorted(chosen), self._size) for chosen in (self.on, wanted))

            def change(overlay: Tree) -> Tree:
                return relaid(overlay, before, after, self._base())

            beside = {Keys.MITIGATIONS: json.dumps(sorted(wanted))}
            await self._stored.with_sound_keys(
                self._runtime.store, lambda: change_overlay(self._runtime, change, self._events, beside)
            )
            self.on = wanted
            return wanted

    async def take_over(self) -> None:
        """Takes over the mitigations switched on by an earlier controller."""
        store = self._runtime.store
        raw = await self._stored.with_sound_keys(store, lambda: store.get(Keys.MITIGATIONS))
        names = self._stored.read(_NAMES, raw, Keys.MITIGATIONS) if raw is not None else None
        self.on = set(names or ()) & {row["id"] for row in catalogue()}
