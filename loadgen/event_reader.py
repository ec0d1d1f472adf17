"""Reads the event stream of real processes in order, and reports lines that were removed before they were read."""

from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

from loadgen.event_lines import LINE
from services.chassis.event_stream import LOST
from services.chassis.store import Keys, Store, text
from services.chassis.stored import Stored

AT_ONCE = 5000


class EventReader:
    """The position in the stream. The stream is bounded: a slow reader misses its oldest lines."""

    def __init__(self, source: str = "recorder") -> None:
        self._source = source
        self._position = "0-0"
        self._removed: int | None = None
        """Lines removed before this reader started, read by it, or reported as lost."""

    async def take(self, store: Store, epoch_s: float, block_ms: int | None) -> list[dict[str, Any]]:
        """New lines, waiting at most `block_ms`; a loss comes first, as a line of its own."""
        lost = await self._lost(store)
        events: list[dict[str, Any]] = []

        def tell(kind: str, **fields: Any) -> None:
            events.append({"at": epoch_s, "source": self._source, "kind": kind, **fields})

        if lost:
            tell(LOST, count=lost)
        stored = Stored(tell)
        answer: Any = await store.xread({Keys.EVENTS: self._position}, count=AT_ONCE, block=block_ms)
        for _stream, entries in answer.items() if isinstance(answer, dict) else answer or ():
            for entry_id, entry in entries:
                line = stored.read(LINE, entry.get(b"line", b""), Keys.EVENTS, text(entry_id))
                if line is not None:
                    events.append(line.model_dump())
                self._position = text(entry_id)
                self._removed = (self._removed or 0) + 1
        return events

    async def _lost(self, store: Store) -> int:
        """Number of removed lines that this reader did not see; 0 if the server does not report it."""
        info: dict[str, Any] = {}
        with suppress(ResponseError):  # no stream yet
            info = await store.xinfo_stream(Keys.EVENTS)
        if "entries-added" not in info:
            return 0
        removed = int(info["entries-added"]) - int(info["length"])
        if self._removed is None:
            self._removed = removed
        lost = max(0, removed - self._removed)
        self._removed += lost
        return lost

    def __repr__(self) -> str:
        return f"<EventReader at {self._position}>"
