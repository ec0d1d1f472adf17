"""Detection of collapsed regions in an idle testbed, from the attempts of the identity service's callers."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.record.metric_names import ATTEMPTS
from chaos.record.series import Samples

WINDOW_S = 10.0
ATTEMPTS_MIN = 10
DOWN_BELOW = 0.5
UP_FROM = 0.9

Tried = tuple[float, float, float]
"""Unix time, attempts, successful attempts."""


@dataclass
class RegionWatch:
    """Attempts of one region over the last seconds, and the start of a collapse (Unix time) if there is one."""

    tried: deque[Tried] = field(default_factory=deque)
    down_since: float | None = None

    def add(self, at: float, attempts: float, good: float) -> bool | None:
        """Adds a reading; True if the region collapsed with it, False if it recovered, otherwise None."""
        self.tried.append((at, attempts, good))
        while self.tried[0][0] <= at - WINDOW_S:
            self.tried.popleft()
        total = sum(count for _, count, _ in self.tried)
        if total < ATTEMPTS_MIN:
            return None
        ratio = sum(count for _, _, count in self.tried) / total
        if self.down_since is None and ratio < DOWN_BELOW:
            self.down_since = self._began()
            return True
        if self.down_since is not None and ratio >= UP_FROM:
            self.down_since = None
            return False
        return None

    def _began(self) -> float:
        """Time of the first reading of the current bad period; readings without attempts are ignored."""
        since = self.tried[-1][0]
        for at, attempts, good in reversed(self.tried):
            if attempts and good / attempts >= DOWN_BELOW:
                break
            since = at
        return since


class CollapseWatch:
    """Finds the regions that collapse or recover, sample by sample."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._regions: dict[str, RegionWatch] = {}
        self._last_t: float | None = None

    @property
    def down(self) -> dict[str, float]:
        """The collapsed regions, with the time of the collapse."""
        return {name: seen.down_since for name, seen in self._regions.items() if seen.down_since is not None}

    def look(self, t: float) -> Iterator[tuple[str, bool]]:
        """Checks the samples since the last call; yields (region, True) for a collapse, False for a recovery."""
        start_t, self._last_t = t if self._last_t is None else self._last_t, t
        tried = self._samples.increase(ATTEMPTS, {"layer": "sdk"}, start_t, t, by=("region", "outcome"))
        for region in sorted({region for region, _ in tried}):
            attempts = sum(count for (name, _), count in tried.items() if name == region)
            went_down = self._regions.setdefault(region, RegionWatch()).add(t, attempts, tried.get((region, "ok"), 0.0))
            if went_down is not None:
                yield region, went_down
