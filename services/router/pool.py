"""The nodes of one region as seen by a router: which are in rotation, and which one gets a request.

With all policies off, a random choice among the live nodes. A node that was in rotation before returns at once, even
under guarded scale-out: the guard is for new nodes, which would be overloaded one by one.
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from math import inf
from random import Random

from services.chassis.registry import Instance
from services.policies.capacity import ScaleOut
from services.policies.fairness import shuffle_shard
from services.policies.outcome import AttemptOutcome
from services.policies.outlier import OutlierDetector
from services.policies.window import SlidingCounts
from services.router.settings import RouterSettings

OFFERED_WINDOW_S = 5.0


class NodePool:
    """One region's nodes."""

    def __init__(self, settings: RouterSettings) -> None:
        self.nodes: list[Instance] = []
        """Nodes in rotation, sorted by name, without those that just refused a connection."""
        self._live: list[Instance] = []
        self._joined_at: dict[str, float] = {}
        self._known: set[str] = set()
        self._offered = SlidingCounts(OFFERED_WINDOW_S)
        self._outlier = OutlierDetector(settings=settings.outlier)
        self.reconfigure(settings)

    def reconfigure(self, settings: RouterSettings) -> None:
        if settings.outlier != self._outlier.settings:
            self._outlier = OutlierDetector(self._outlier_hosts(), settings.outlier)
        self._settings = settings
        self._scale_out = ScaleOut(settings.scale_out)
        self.plain = not (
            settings.outlier.enabled
            or settings.scale_out.guarded
            or settings.scale_out.slow_start_s
            or settings.tenant_nodes is not None
        )

    def _outlier_hosts(self) -> list[str]:
        return [node.name for node in self.nodes]

    def update(self, live: Sequence[Instance], now: float) -> None:
        """Takes the live instances from the registry, sorted by name."""
        self._live = list(live)
        self._forget_absent()
        absent = [node.name for node in live if node.name not in self._joined_at]
        strangers = [name for name in absent if name not in self._known]
        first = not self._known
        joining = absent if self._may_join(len(strangers), now) else [name for name in absent if name in self._known]
        for name in joining:
            self._joined_at[name] = -inf if first else now
        self._known.update(joining)
        self.nodes = [node for node in live if node.name in self._joined_at]
        self._outlier.set_hosts(self._outlier_hosts())

    def refresh(self, now: float) -> None:
        """Applies changed settings to the same nodes."""
        self.update(self._live, now)

    def _forget_absent(self) -> None:
        names = {node.name for node in self._live}
        for name in sorted(self._joined_at.keys() - names):
            del self._joined_at[name]

    def _may_join(self, strangers: int, now: float) -> bool:
        """Whether new nodes may join, all together or none. With no node in rotation they always may."""
        if not strangers or not self._joined_at or not self._scale_out.settings.guarded:
            return True
        offered_per_s = self._offered.total(now) / OFFERED_WINDOW_S
        return self._scale_out.may_join(strangers, len(self._joined_at), offered_per_s, self._settings.node_rate_per_s)

    def pick(self, rng: Random, tenant: str, now: float) -> Instance | None:
        """The node for one request, or None if none is in rotation."""
        self._offered.add(now)
        nodes = self._candidates(tenant, now)
        if not nodes:
            return None
        if not self._scale_out.settings.slow_start_s:
            return nodes[int(rng.random() * len(nodes))]
        weights = list(accumulate(self._scale_out.weight(self._joined_at[node.name], now) for node in nodes))
        return nodes[bisect(weights, rng.random() * weights[-1])]

    def _candidates(self, tenant: str, now: float) -> list[Instance]:
        nodes, count = self.nodes, self._settings.tenant_nodes
        if count is not None:
            shard = shuffle_shard(tenant, [node.name for node in nodes], count)
            nodes = [node for node in nodes if node.name in shard]
        if not self._outlier.settings.enabled:
            return nodes
        available = self._outlier.available(now)
        return [node for node in nodes if node.name in available] or nodes

    def on_outcome(self, node: Instance, outcome: AttemptOutcome, now: float, began: float | None = None) -> None:
        self._outlier.on_outcome(node.name, outcome, now, began)

    def drop(self, node: Instance) -> None:
        """Removes a node until the next update from the registry."""
        if node in self.nodes:
            self.nodes.remove(node)

    @property
    def held_back(self) -> int:
        """Live nodes that may not join yet."""
        return len(self._live) - len(self._joined_at)

    def __repr__(self) -> str:
        return f"<NodePool {len(self.nodes)} nodes, {self.held_back} held back, {self._outlier!r} {self._scale_out!r}>"
