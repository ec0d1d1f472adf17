"""Sliding counts of good and all events, O(1) per event; used by breaker, failover, throttle and admission.

Time is split into `buckets` slices of window/buckets seconds. A slice leaves the window as a whole, so the window
covers between (buckets-1)/buckets and all of its nominal length; in return, single events are not stored. Finagle's
WindowedAdder (https://github.com/twitter/util, zk WindowedAdder.scala) and Envoy's admission control do the same.
"""


class SlidingCounts:
    """`total` and `good` over the last `window_s` seconds. An event with an older `now` counts in the newest slice."""

    __slots__ = ("_good", "_good_slices", "_slices_per_s", "_tick", "_total", "_total_slices", "buckets", "window_s")

    def __init__(self, window_s: float, buckets: int = 10) -> None:
        if window_s <= 0 or buckets < 1:
            raise ValueError(f"window_s and buckets must be positive, not {window_s} and {buckets}")
        self.window_s = window_s
        self.buckets = buckets
        self._slices_per_s = buckets / window_s
        self._tick = 0
        self._total = 0.0
        self._good = 0.0
        self._total_slices = [0.0] * buckets
        self._good_slices = [0.0] * buckets

    def add(self, now: float, total: float = 1.0, good: float = 0.0) -> None:
        tick = int(now * self._slices_per_s)
        if tick > self._tick:
            self._advance(tick)
        index = self._tick % self.buckets
        self._total += total
        self._total_slices[index] += total
        if good:
            self._good += good
            self._good_slices[index] += good

    def take_back(self, now: float, at: float, total: float = 1.0) -> None:
        """Subtracts what was counted at `at`, unless it has left the window; never below 0."""
        tick = int(now * self._slices_per_s)
        if tick > self._tick:
            self._advance(tick)
        counted = min(int(at * self._slices_per_s), self._tick)
        if self._tick - counted < self.buckets:
            index = counted % self.buckets
            taken = min(total, max(0.0, self._total_slices[index]))
            self._total_slices[index] -= taken
            self._total -= taken

    def total(self, now: float) -> float:
        tick = int(now * self._slices_per_s)
        if tick > self._tick:
            self._advance(tick)
        return self._total

    def good(self, now: float) -> float:
        tick = int(now * self._slices_per_s)
        if tick > self._tick:
            self._advance(tick)
        return self._good

    def clear(self) -> None:
        self._total = self._good = 0.0
        for index in range(self.buckets):
            self._total_slices[index] = self._good_slices[index] = 0.0

    def _advance(self, tick: int) -> None:
        stale = tick - self._tick
        if stale >= self.buckets:
            self.clear()
        else:
            for step in range(self._tick + 1, tick + 1):
                index = step % self.buckets
                self._total -= self._total_slices[index]
                self._good -= self._good_slices[index]
                self._total_slices[index] = self._good_slices[index] = 0.0
        self._tick = tick

    def __repr__(self) -> str:
        return f"<SlidingCounts {self._good:g} good of {self._total:g} in {self.window_s:g}s>"
