"""Capacity (R4): headroom before the event, and scale-out that does not overload new nodes one by one.

    headroom        ceil(nodes * (1 + extra))
    nodes needed    ceil(attempts per second / rate of one node)
    slow start      weight = max(10 %, (max(age, 1 s) / window) ** (1/aggression)), 1 after the window
    guarded join    new nodes enter rotation together, warm, and only when the fleet with them carries the offered load
    time to useless Q* / (arrivals - rate): how long an unguarded cold node stays useful

Sources: docs/model.md §1 (6); Envoy slow_start.rst (https://www.envoyproxy.io/docs). Defaults: slow start off
(window 0), aggression 1, least weight 10 %; guard off.

Caveats:
* In the incident a cold node got 22 requests/s at a service rate of 5: useful for 8/17 of a second. Five nodes added
  this way are five more full queues. 8 -> 11 -> 16 nodes changed nothing; 35 would have.
* Size the fleet by attempts, retries included, not by operations: 29 to 40 nodes for 24 operations/s.
* Slow start moves the excess to the old nodes. It protects the new node, not the service.
"""

from math import ceil

from pydantic import Field

from services.policies.settings import PolicySettings


def with_headroom(nodes: int, extra: float) -> int:
    """Number of nodes with headroom; `extra` is a fraction, 0 is the off switch."""
    return ceil(round(nodes * (1.0 + extra), 9))


def nodes_needed(attempts_per_s: float, node_rate_per_s: float) -> int:
    """Number of nodes for this attempt rate."""
    return ceil(round(attempts_per_s / node_rate_per_s, 9))


class ScaleOutSettings(PolicySettings):
    """How new nodes enter rotation. The defaults are those of the incident: at once, cold."""

    guarded: bool = False
    """Hold new nodes back until they are warm and numerous enough; otherwise they join when they are up."""
    warm_min: float = Field(default=0.9, ge=0, le=1)
    """Guarded: minimum warmth (0 cold, 1 warm) of a node that joins."""
    slow_start_s: float = Field(default=0.0, ge=0)
    """Time over which a node's weight grows; 0: full weight at once."""
    aggression: float = Field(default=1.0, gt=0)
    """Above 1 the weight grows faster at first."""
    weight_min: float = Field(default=0.10, ge=0, le=1)
    """Weight of a node that has just joined."""
    unit_s: float = Field(default=1.0, gt=0)
    """Minimum age of a node in the formula, as in Envoy."""


class ScaleOut:
    """Decides when new nodes join, and with what weight."""

    __slots__ = ("settings",)

    def __init__(self, settings: ScaleOutSettings | None = None) -> None:
        self.settings = settings or ScaleOutSettings()

    def is_ready(self, warmth: float) -> bool:
        return not self.settings.guarded or warmth >= self.settings.warm_min

    def may_join(self, ready: int, in_rotation: int, offered_per_s: float, node_rate_per_s: float) -> bool:
        """Whether the ready nodes may join together. Guarded: only if the fleet with them carries the offered load."""
        if ready <= 0:
            return False
        if not self.settings.guarded:
            return True
        return in_rotation + ready >= nodes_needed(offered_per_s, node_rate_per_s)

    def weight(self, joined_at: float, now: float) -> float:
        """Share of a full node's traffic, 0..1."""
        settings = self.settings
        age_s = max(0.0, now - joined_at)  # clocks may differ
        if age_s >= settings.slow_start_s:
            return 1.0
        part: float = max(age_s, settings.unit_s) / settings.slow_start_s
        return float(min(1.0, max(settings.weight_min, part ** (1.0 / settings.aggression))))

    def __repr__(self) -> str:
        settings = self.settings
        if not settings.guarded and settings.slow_start_s == 0:
            return "<ScaleOut off>"
        gate = f"guarded, warm >= {settings.warm_min:g}" if settings.guarded else "unguarded"
        return f"<ScaleOut {gate}, slow start {settings.slow_start_s:g}s>"
