"""The physics of a node: service time, warmth, overload, crash. No I/O, no clock, no event loop.

    service = s0 · (f + (1 − f)·Exp(1)) · (1 + a·q/Q) · (1 + d·n) · (1 + b·(1 − w))

f: fixed share (½), a: overload, q/Q: queue, d: contention (0), n: requests in service, b: cold cache, w: warmth 0…1.

A request is useful only if wait + service ≤ the caller's timeout T, so a queue longer than c·(T/s − 1) holds work
whose callers will have timed out. With Q = 60 and c·(T/s − 1) = 8 a full node is 100 % busy and 0 % useful.
"""

from random import Random

from services.identity.settings import IdentitySettings


class NodePhysics:
    """Warmth and overload of a node, and the resulting service time."""

    __slots__ = ("_overloaded_since", "settings", "warmth")

    def __init__(self, settings: IdentitySettings) -> None:
        self.settings = settings
        self.warmth = 0.0
        self._overloaded_since: float | None = None

    def service_time_s(self, queued: int, rng: Random, serving: int = 1) -> float:
        """A random service time of one request, in seconds: `queued` wait, `serving` are served with it included."""
        settings = self.settings
        fixed = settings.service_fixed_share
        base = settings.service_time_s * (fixed + (1.0 - fixed) * rng.expovariate(1.0))
        overload = 1.0 + settings.overload_slowdown * queued / settings.queue_length
        if settings.contention_slowdown:
            overload *= 1.0 + settings.contention_slowdown * serving
        return base * overload * (1.0 + settings.cold_slowdown * (1.0 - self.warmth))

    def on_completed(self) -> None:
        """Each completion warms the cache by one of `warm_requests` steps."""
        self.warmth = min(1.0, self.warmth + 1.0 / self.settings.warm_requests)

    def overload_deadline(self, queued: int, now: float) -> float | None:
        """When the node crashes if the queue stays at this length; None while it is not overloaded."""
        settings = self.settings
        if not settings.crash_enabled or queued < settings.crash_queue_ratio * settings.queue_length:
            self._overloaded_since = None
            return None
        if self._overloaded_since is None:
            self._overloaded_since = now
        return self._overloaded_since + settings.crash_after_s

    def restart(self) -> None:
        """Resets warmth and overload: a restarted node has an empty cache."""
        self.warmth = 0.0
        self._overloaded_since = None

    def __repr__(self) -> str:
        state = "calm" if self._overloaded_since is None else f"overloaded since {self._overloaded_since:.1f}s"
        return f"<NodePhysics {self.warmth:.0%} warm, {state}>"
