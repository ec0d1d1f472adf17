"""Links between hosts, and link faults.

A link is one direction between two hosts. Faults name hosts by patterns (`*` and `?` as in file names) and apply to
existing and future connections. A link without a fault has no latency and no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class LinkFault:
    """One impairment of all links from hosts matching `source` to hosts matching `destination`."""

    source: str = "*"
    """Pattern for the sending host."""
    destination: str = "*"
    """Pattern for the receiving host."""
    latency_s: float = 0.0
    """Extra one-way delay of every byte, in seconds; the delays of several faults on one link add up."""
    blackhole: bool = False
    """Bytes vanish and connects hang. A connection that lost bytes is reset when the fault ends."""
    refuse: bool = False
    """Connects are refused, and open connections end when the fault starts."""
    reset: bool = False
    """Connects are accepted and reset at the first byte; open connections are reset when the fault starts."""

    def matches(self, source: str, destination: str) -> bool:
        """Whether this fault applies to the link."""
        return fnmatchcase(source, self.source) and fnmatchcase(destination, self.destination)


class Link:
    """The current condition of one direction; transports keep a reference and read `clean` first."""

    __slots__ = ("blackhole", "clean", "destination", "latency_s", "refuse", "reset", "source")

    def __init__(self, source: str, destination: str) -> None:
        self.source = source
        self.destination = destination
        self.apply([])

    def __repr__(self) -> str:
        marks = [name for name in ("blackhole", "refuse", "reset") if getattr(self, name)]
        if self.latency_s:
            marks.insert(0, f"{self.latency_s} s")
        return f"<Link {self.source} → {self.destination}: {', '.join(marks) or 'clean'}>"

    def apply(self, faults: list[LinkFault]) -> None:
        """Set the condition from those of `faults` that match this link."""
        mine = [fault for fault in faults if fault.matches(self.source, self.destination)]
        self.latency_s = sum(fault.latency_s for fault in mine)
        self.blackhole = any(fault.blackhole for fault in mine)
        self.refuse = any(fault.refuse for fault in mine)
        self.reset = any(fault.reset for fault in mine)
        self.clean = not mine


class Links:
    """All links in use, and the active faults."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], Link] = {}
        self._faults: list[LinkFault] = []

    def __repr__(self) -> str:
        return f"<Links {len(self._links)} in use, {len(self._faults)} faults>"

    def between(self, source: str, destination: str) -> Link:
        """The link for one direction; the same object for the lifetime of the world."""
        link = self._links.get((source, destination))
        if link is None:
            link = self._links[source, destination] = Link(source, destination)
            link.apply(self._faults)
        return link

    def add(self, fault: LinkFault) -> None:
        self._faults.append(fault)
        self._refresh()

    def remove(self, fault: LinkFault) -> None:
        """End a fault. An unknown fault is ignored, so ending a fault twice is harmless."""
        if fault in self._faults:
            self._faults.remove(fault)
            self._refresh()

    def clear(self) -> None:
        self._faults.clear()
        self._refresh()

    def _refresh(self) -> None:
        for link in self._links.values():
            link.apply(self._faults)
