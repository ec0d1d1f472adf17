"""A concurrency limit: additive increase, and a halving once per second at most.

aftershock run azure-fnj8-vqz-short --policy limit=own_limit:Halving
"""


class Halving:
    """Halves when a request took longer than `timeout_s` or was dropped."""

    def __init__(self, least: int = 2, most: int = 60, timeout_s: float = 0.8) -> None:
        self.least = least
        self.most = most
        self.timeout_s = timeout_s
        self.limit = most
        self._halved_at = float("-inf")

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        if not dropped and rtt_s <= self.timeout_s:
            self.limit = min(self.most, self.limit + 1)
        elif now - self._halved_at >= 1.0:
            self.limit = max(self.least, self.limit // 2)
            self._halved_at = now
