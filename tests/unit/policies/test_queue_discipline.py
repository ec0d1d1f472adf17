"""Orders, refusals and drops, item by item; nothing accepted is ever lost."""

from random import Random

import pytest

from services.policies.fairness import FairQueue
from services.policies.queue_discipline import (
    AdaptiveLifo,
    BoundedWait,
    Codel,
    CodelQueue,
    Fifo,
    Lifo,
    QueueSettings,
    build_queue,
)

Queue = Fifo[int] | FairQueue[int]


def fill(queue: Queue, items: range, now: float) -> list[int]:
    return [item for item in items if queue.offer(item, now)]


def take_all(queue: Queue, now: float) -> list[int]:
    taken = []
    while (item := queue.take(now)) is not None:
        taken.append(item)
    return taken


def test_the_incidents_node_queues_sixty() -> None:
    assert QueueSettings().capacity == 60


def test_fifo_serves_the_oldest_and_refuses_when_full() -> None:
    queue = Fifo[int](3)
    assert fill(queue, range(5), 0.0) == [0, 1, 2]
    assert take_all(queue, 9.0) == [0, 1, 2]
    assert queue.take(9.0) is None


def test_the_default_node_accepts_sixty() -> None:
    queue: Queue = build_queue(QueueSettings(), workers=2, service_s=0.2)
    assert len(fill(queue, range(100), 0.0)) == 60


def test_off_is_an_unbounded_fifo() -> None:
    queue: Queue = build_queue(QueueSettings(capacity=None), workers=2, service_s=0.2)
    assert len(fill(queue, range(1000), 0.0)) == 1000
    assert take_all(queue, 1e6) == list(range(1000))


def test_lifo_serves_the_newest_and_refuses_newcomers_when_full() -> None:
    queue = Lifo[int](3)
    assert fill(queue, range(4), 0.0) == [0, 1, 2]
    assert take_all(queue, 1.0) == [2, 1, 0]


def test_lifo_can_evict_the_oldest_instead() -> None:
    queue = Lifo[int](3, evict_oldest=True)
    assert fill(queue, range(5), 0.0) == [0, 1, 2, 3, 4]
    assert list(queue.pop_dropped()) == [0, 1]
    assert list(queue.pop_dropped()) == []
    assert take_all(queue, 1.0) == [4, 3, 2]


def test_adaptive_lifo_turns_round_once_the_queue_has_stood_for_an_interval() -> None:
    queue = AdaptiveLifo[int](interval_s=0.1)
    fill(queue, range(5), 0.0)
    assert queue.take(0.1) == 0
    assert queue.take(0.11) == 4
    assert queue.take(0.11) == 3


def test_adaptive_lifo_refuses_newcomers_when_full_unless_told_to_evict() -> None:
    assert fill(AdaptiveLifo[int](2), range(4), 0.0) == [0, 1]
    assert fill(AdaptiveLifo[int](2, evict_oldest=True), range(4), 0.0) == [0, 1, 2, 3]


@pytest.mark.parametrize(("target_s", "interval_s"), [(0.1, 0.1), (0.0, 0.1), (0.2, 0.1)])
def test_codel_needs_a_target_shorter_than_its_interval(target_s: float, interval_s: float) -> None:
    with pytest.raises(ValueError, match="target_s"):
        Codel(target_s, interval_s)


def test_adaptive_lifo_is_fifo_again_after_the_queue_was_empty() -> None:
    queue = AdaptiveLifo[int](interval_s=0.1)
    fill(queue, range(2), 0.0)
    assert take_all(queue, 1.0) == [1, 0]
    fill(queue, range(3), 5.0)
    assert queue.standing(5.05) is False
    assert take_all(queue, 5.05) == [0, 1, 2]


def test_codel_learns_from_one_interval_what_it_drops_in_the_next() -> None:
    """folly Codel.cpp by hand: target 5 ms, interval 100 ms."""
    codel = Codel()
    assert codel.should_drop(0.050, 0.000) is False  # very first: sets the least delay
    assert codel.should_drop(0.050, 0.001) is False  # first interval ends: overloaded, but this opens the next
    assert codel.overloaded is True
    assert codel.should_drop(0.010, 0.002) is False  # 10 ms is not more than 2 * target
    assert codel.should_drop(0.011, 0.003) is True
    assert codel.should_drop(0.050, 0.101) is True  # 0.101 is not past 0.001 + 0.100
    assert codel.should_drop(0.050, 0.102) is False  # opens the third interval; least delay was 10 ms
    assert codel.overloaded is True


def test_codel_calms_down_after_an_interval_with_one_quick_request() -> None:
    codel = Codel()
    codel.should_drop(0.050, 0.000)
    codel.should_drop(0.050, 0.001)
    codel.should_drop(0.005, 0.050)  # equal to the target is good enough
    assert codel.should_drop(0.050, 0.200) is False
    assert codel.overloaded is False
    assert codel.should_drop(9.9, 0.201) is False


def test_codel_keeps_its_verdict_through_silence_but_never_drops_the_first() -> None:
    codel = Codel()
    codel.should_drop(0.050, 0.000)
    codel.should_drop(0.050, 0.001)
    assert codel.should_drop(5.0, 1000.0) is False
    assert codel.should_drop(5.0, 1000.01) is True


def test_a_codel_queue_reports_what_it_drops_and_serves_the_rest() -> None:
    queue = CodelQueue(Fifo[int](60), Codel())
    fill(queue, range(6), 0.0)
    assert [queue.take(0.05), queue.take(0.051)] == [0, 1]
    queue.offer(6, 0.045)
    assert queue.take(0.052) == 6
    assert list(queue.pop_dropped()) == [2, 3, 4, 5]
    assert len(queue) == 0


def test_codel_over_adaptive_lifo_serves_the_newest_and_drops_the_stale() -> None:
    queue: Queue = build_queue(QueueSettings(discipline="codel_lifo"), workers=2, service_s=0.2)
    fill(queue, range(4), 0.0)
    assert [queue.take(0.2), queue.take(0.201)] == [3, 2]
    queue.offer(9, 0.2015)
    assert queue.take(0.202) == 9
    assert queue.take(0.203) is None
    assert list(queue.pop_dropped()) == [1, 0]


def test_bounded_wait_of_half_a_second_holds_five() -> None:
    """docs/model.md §2, defended profile: 2 workers, 0.2 s each, cap 0.5 s is queue 5."""
    queue = BoundedWait[int](workers=2, service_s=0.2, budget_s=0.5)
    assert fill(queue, range(10), 0.0) == [0, 1, 2, 3, 4]
    assert queue.predicted_wait_s() == pytest.approx(0.6)
    queue.take(0.1)
    assert queue.offer(10, 0.1) is True


def test_bounded_wait_follows_a_slower_service() -> None:
    queue = BoundedWait[int](workers=2, service_s=0.2, budget_s=0.5)
    queue.service_s = 0.4
    assert fill(queue, range(10), 0.0) == [0, 1]


def test_the_default_budget_keeps_the_queue_below_the_dead_zone() -> None:
    queue = BoundedWait[int](workers=2, service_s=0.2, budget_s=0.5)
    assert len(fill(queue, range(99), 0.0)) <= 8  # workers * (timeout / service time - 1)


def test_a_crash_empties_the_queue() -> None:
    queue: Queue = build_queue(QueueSettings(discipline="codel"), workers=2, service_s=0.2)
    fill(queue, range(3), 0.0)
    assert queue.drain() == [0, 1, 2]
    assert len(queue) == 0


ALL = ["fifo", "lifo", "adaptive_lifo", "codel", "codel_lifo", "bounded_wait", "fair"]


@pytest.mark.parametrize("discipline", ALL)
def test_every_accepted_item_leaves_exactly_once(discipline: str) -> None:
    settings = {"discipline": discipline, "capacity": 12, "evict_oldest": True}
    queue: Queue
    if discipline == "fair":
        queue = FairQueue(lambda item: str(item % 3), capacity=12)
    else:
        queue = build_queue(QueueSettings.model_validate(settings), workers=2, service_s=0.01)
    rng, now = Random(3), 0.0
    accepted: list[int] = []
    left: list[int] = []
    for item in range(2000):
        now += rng.expovariate(100.0)
        if queue.offer(item, now):
            accepted.append(item)
        left += queue.pop_dropped()
        if rng.random() < 0.8:
            taken = queue.take(now)
            left += [] if taken is None else [taken]
            left += queue.pop_dropped()
    left += queue.drain()
    assert sorted(left) == accepted
    assert len(queue) == 0


def test_reprs() -> None:
    assert repr(Fifo[int](60)) == "<Fifo 0/60>"
    assert repr(Lifo[int]()) == "<Lifo 0/unbounded>"
    assert repr(BoundedWait[int]()) == "<BoundedWait 0 queued, predicts 0.10s of 0.5s>"
    assert repr(Codel()) == "<Codel calm, least delay 0.0000s, target 0.005s>"
    assert repr(CodelQueue(Fifo[int](9), Codel())) == (
        "<CodelQueue <Fifo 0/9> <Codel calm, least delay 0.0000s, target 0.005s>>"
    )
