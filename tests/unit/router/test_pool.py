"""Which of a region's nodes a router uses, and how much, at exact times."""

from collections import Counter
from random import Random

from services.chassis.registry import Instance
from services.policies.outcome import AttemptOutcome
from services.router.pool import NodePool
from services.router.settings import RouterSettings


def _nodes(count: int, first: int = 1) -> list[Instance]:
    return [Instance("identity", "eastus", f"node-{number}", "") for number in range(first, first + count)]


def _pool(**settings: object) -> NodePool:
    return NodePool(RouterSettings.model_validate(settings))


def _names(pool: NodePool) -> list[str]:
    return [node.name for node in pool.nodes]


def _offer(pool: NodePool, per_s: int, start: float, end: float) -> None:
    rng = Random(1)
    for number in range(int((end - start) * per_s)):
        pool.pick(rng, "", start + number / per_s)


def _shares(pool: NodePool, now: float, tenant: str = "") -> dict[str, float]:
    rng = Random(1)
    picked = [pool.pick(rng, tenant, now) for _ in range(4000)]
    counts = Counter(node.name for node in picked if node is not None)
    return {name: round(count / 4000, 1) for name, count in sorted(counts.items())}


def test_the_incidents_router_takes_every_live_node_at_once() -> None:
    pool = _pool()
    assert pool.plain
    pool.update(_nodes(4), 0.0)
    pool.update(_nodes(6), 10.0)
    assert len(pool.nodes) == 6


GUARDED = {"scale_out": {"guarded": True}}


def test_new_nodes_wait_until_the_fleet_including_them_can_carry_the_offered_load() -> None:
    pool = _pool(**GUARDED)
    pool.update(_nodes(4), 0.0)
    _offer(pool, 80, 0.0, 5.0)
    pool.update(_nodes(6), 5.0)
    assert (len(pool.nodes), pool.held_back) == (4, 2)
    pool.update(_nodes(8), 5.5)
    assert len(pool.nodes) == 8


def test_new_nodes_join_when_the_offered_load_falls() -> None:
    pool = _pool(**GUARDED)
    pool.update(_nodes(4), 0.0)
    _offer(pool, 80, 0.0, 5.0)
    pool.update(_nodes(5), 5.0)
    assert len(pool.nodes) == 4
    pool.update(_nodes(5), 11.0)
    assert len(pool.nodes) == 5


def test_a_node_that_was_in_rotation_comes_back_at_once() -> None:
    pool = _pool(**GUARDED)
    pool.update(_nodes(4), 0.0)
    _offer(pool, 80, 0.0, 5.0)
    pool.update(_nodes(3), 5.0)
    pool.update(_nodes(4), 6.0)
    assert len(pool.nodes) == 4


def test_without_serving_nodes_new_nodes_join_at_once() -> None:
    pool = _pool(**GUARDED)
    pool.update(_nodes(2), 0.0)
    _offer(pool, 80, 0.0, 5.0)
    pool.update([], 5.0)
    pool.update(_nodes(1, first=9), 5.5)
    assert _names(pool) == ["node-9"]


def test_switching_the_guard_off_admits_the_nodes_held_back() -> None:
    pool = _pool(**GUARDED)
    pool.update(_nodes(4), 0.0)
    _offer(pool, 80, 0.0, 5.0)
    pool.update(_nodes(5), 5.0)
    pool.reconfigure(RouterSettings())
    pool.refresh(5.0)
    assert len(pool.nodes) == 5


def test_a_new_node_gets_its_share_little_by_little() -> None:
    pool = _pool(scale_out={"slow_start_s": 20.0})
    pool.update(_nodes(1), 0.0)
    pool.update(_nodes(2), 100.0)
    assert _shares(pool, 100.0) == {"node-1": 0.9, "node-2": 0.1}
    assert _shares(pool, 110.0) == {"node-1": 0.7, "node-2": 0.3}
    assert _shares(pool, 120.0) == {"node-1": 0.5, "node-2": 0.5}


def test_a_tenant_is_confined_to_its_shard() -> None:
    pool = _pool(tenant_nodes=2)
    pool.update(_nodes(8), 0.0)
    shards = {tuple(_shares(pool, 0.0, tenant)) for tenant in "abcdefgh"}
    assert all(len(shard) == 2 for shard in shards)
    assert len(shards) > 4


OUTLIER = {"outlier": {"enabled": True, "consecutive_failures": 5, "base_s": 30.0}}


def test_a_node_that_keeps_failing_is_set_aside_for_a_while() -> None:
    pool = _pool(**OUTLIER)
    nodes = _nodes(4)
    pool.update(nodes, 0.0)
    for _ in range(5):
        pool.on_outcome(nodes[0], AttemptOutcome.DROPPED, 1.0)
    assert "node-1" not in _shares(pool, 1.0)
    pool.update(nodes, 2.0)
    assert "node-1" not in _shares(pool, 30.9)
    assert "node-1" in _shares(pool, 31.0)


def test_never_more_than_the_allowed_share_is_set_aside() -> None:
    pool = _pool(**OUTLIER)
    nodes = _nodes(4)
    pool.update(nodes, 0.0)
    for node in nodes:
        for _ in range(5):
            pool.on_outcome(node, AttemptOutcome.DROPPED, 1.0)
    assert len(_shares(pool, 1.0)) == 3


def test_in_panic_every_node_is_used() -> None:
    pool = _pool(outlier={**OUTLIER["outlier"], "ejected_share_max": 1.0, "panic_share": 0.5})
    nodes = _nodes(4)
    pool.update(nodes, 0.0)
    for node in nodes[:3]:
        for _ in range(5):
            pool.on_outcome(node, AttemptOutcome.DROPPED, 1.0)
    assert len(_shares(pool, 1.0)) == 4


def test_a_node_that_refused_a_connection_is_left_out_until_the_registry_is_read_again() -> None:
    pool = _pool()
    nodes = _nodes(2)
    pool.update(nodes, 0.0)
    pool.drop(nodes[0])
    assert _names(pool) == ["node-2"]
    pool.update(nodes, 1.0)
    assert _names(pool) == ["node-1", "node-2"]
