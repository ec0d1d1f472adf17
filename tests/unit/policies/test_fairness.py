"""A flooding tenant waits in its own line; shards are the same everywhere and overlap little."""

import subprocess
import sys
from collections import Counter
from math import comb
from pathlib import Path

import pytest

import services
from services.policies.fairness import FairQueue, TenantBuckets, shuffle_shard

EIGHT = [f"node-{number}" for number in range(8)]


def tenant_of(item: str) -> str:
    return item[0]


def take_all(queue: FairQueue[str]) -> list[str]:
    taken = []
    while (item := queue.take(0.0)) is not None:
        taken.append(item)
    return taken


def filled(*items: str, capacity: int | None = None, enabled: bool = True) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(tenant_of, capacity, enabled=enabled)
    for item in items:
        assert queue.offer(item, 0.0)
    return queue


def test_tenants_take_turns_however_many_one_has_queued() -> None:
    queue = filled("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert take_all(queue) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_a_newcomer_waits_for_one_turn_of_each_other_tenant() -> None:
    queue = filled("a1", "a2", "a3")
    assert queue.take(0.0) == "a1"
    queue.offer("b1", 0.0)
    assert take_all(queue) == ["a2", "b1", "a3"]


def test_an_emptied_line_goes_to_the_end() -> None:
    queue = filled("a1")
    assert queue.take(0.0) == "a1"
    for item in ("b1", "a2", "b2"):
        queue.offer(item, 0.0)
    assert take_all(queue) == ["b1", "a2", "b2"]
    assert len(queue) == 0


def test_when_full_the_longest_line_loses_its_newest_item() -> None:
    queue = filled("a1", "a2", "a3", capacity=3)
    assert queue.offer("b1", 0.0) is True
    assert list(queue.pop_dropped()) == ["a3"]
    assert len(queue) == 3
    assert queue.offer("b2", 0.0) is False
    assert take_all(queue) == ["a1", "b1", "a2"]


def test_when_full_the_flood_itself_is_refused() -> None:
    queue = filled("a1", "a2", "b1", capacity=3)
    assert queue.offer("a3", 0.0) is False
    assert queue.offer("b2", 0.0) is False  # would only move the longest line
    assert list(queue.pop_dropped()) == []
    assert (queue.length_of("a"), queue.length_of("b"), queue.length_of("z")) == (2, 1, 0)


def test_off_is_one_line_in_order_of_arrival() -> None:
    queue = filled("a1", "a2", "b1", enabled=False, capacity=3)
    assert queue.offer("c1", 0.0) is False
    assert take_all(queue) == ["a1", "a2", "b1"]
    assert repr(queue) == "<FairQueue off, 0 in one line>"


def test_age_and_crash() -> None:
    queue: FairQueue[str] = FairQueue(tenant_of)
    queue.offer("a1", 1.0)
    queue.offer("b1", 3.0)
    assert repr(queue) == "<FairQueue 2 of 2 tenants>"
    assert sorted(queue.drain()) == ["a1", "b1"]
    assert (len(queue), queue.take(5.0)) == (0, None)


def test_a_queue_without_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity"):
        FairQueue(tenant_of, capacity=0)


def test_each_tenant_spends_its_own_bucket() -> None:
    buckets = TenantBuckets(rate_per_s=1.0, burst=2.0)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("b", 0.0) is True
    assert buckets.take("a", 1.0) is True
    assert repr(buckets) == "<TenantBuckets 1/s each, 2 tenants>"


def test_tenant_buckets_off_let_everything_pass() -> None:
    buckets = TenantBuckets(0.0, 0.0, enabled=False)
    assert all(buckets.take("a", 0.0) for _ in range(100))
    assert repr(buckets) == "<TenantBuckets off>"


def test_a_shard_is_the_same_in_every_process() -> None:
    shards = "[s(f't{n}', 'abcdefgh', 2, 7) for n in range(50)]"
    code = f"from services.policies.fairness import shuffle_shard as s; print({shards})"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(services.__file__).parents[1],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert outputs == {str([shuffle_shard(f"t{n}", "abcdefgh", 2, 7) for n in range(50)])}


def test_eight_workers_by_two_make_twenty_eight_shards_evenly_used() -> None:
    shards = Counter(shuffle_shard(f"tenant-{number}", EIGHT, 2) for number in range(2800))
    assert len(shards) == comb(8, 2) == 28
    assert min(shards.values()) > 60
    assert max(shards.values()) < 140


def test_two_tenants_seldom_share_both_workers() -> None:
    """Shares: both 1/28, one 12/28, none 15/28."""
    shards = [shuffle_shard(f"tenant-{number}", EIGHT, 2) for number in range(200)]
    shared = Counter(len(set(one) & set(other)) for index, one in enumerate(shards) for other in shards[:index])
    total = sum(shared.values())
    assert shared[2] / total == pytest.approx(1 / 28, abs=0.01)
    assert shared[1] / total == pytest.approx(12 / 28, abs=0.02)


def test_another_seed_deals_other_shards() -> None:
    names = [f"tenant-{number}" for number in range(50)]
    assert [shuffle_shard(name, EIGHT, 2, 1) for name in names] != [shuffle_shard(name, EIGHT, 2, 2) for name in names]


def test_losing_a_worker_moves_only_the_tenants_that_had_it() -> None:
    for gone in EIGHT:
        rest = [worker for worker in EIGHT if worker != gone]
        for number in range(100):
            before = shuffle_shard(f"tenant-{number}", EIGHT, 2)
            if gone not in before:
                assert shuffle_shard(f"tenant-{number}", rest, 2) == before


def test_after_a_scale_out_only_tenants_that_got_a_new_worker_have_moved() -> None:
    """Ten nodes become twelve, whose names sort among the old ones: 1 - C(10,2)/C(12,2) = 32 % of tenants move."""
    old = sorted(f"identity-eastus-{number}" for number in range(1, 11))
    new = sorted([*old, "identity-eastus-11", "identity-eastus-12"])
    assert new.index("identity-eastus-2") != old.index("identity-eastus-2"), "positions shift"
    moved = 0
    for number in range(1000):
        before, after = (shuffle_shard(f"tenant-{number}", nodes, 2) for nodes in (old, new))
        if set(after) <= set(old):
            assert after == before
        else:
            moved += 1
            assert set(after) - set(before) <= set(new) - set(old)
    assert moved / 1000 == pytest.approx(1 - comb(10, 2) / comb(12, 2), abs=0.04)


def test_a_shard_as_large_as_the_fleet_is_off() -> None:
    assert shuffle_shard("a", "wxyz", 4) == ("w", "x", "y", "z")
    assert shuffle_shard("a", "wxyz", 9) == ("w", "x", "y", "z")
