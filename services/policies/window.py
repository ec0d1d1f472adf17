"""Sliding count of good and all events, in O(1) per event: the memory under breaker, failover, throttle and admission.

Time is cut into `buckets` slices of window/buckets seconds. A slice is forgotten whole when it leaves the window, so
the window covers between (buckets-1)/buckets and all of its nominal length: that is the price of not keeping every
event. Finagle's WindowedAdder (https://github.com/twitter/util, zk WindowedAdder.scala) and Envoy's admission control
work so.
"""


class SlidingCounts:
    """`total` and `good` over the last `window_s` seconds. Time must not run backwards; an older `now` counts as
    newest."""

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
        """Uncounts what was counted at `at`, unless it has left the window meanwhile; never below nothing."""
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
