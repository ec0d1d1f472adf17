"""The sliding window counts what is inside it and forgets a slice at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policies.window import SlidingCounts


def test_an_event_is_forgotten_when_its_slice_leaves_the_window() -> None:
    counts = SlidingCounts(10.0, buckets=10)
    counts.add(0.5, 1, 1)
    counts.add(3.0, 2, 1)
    assert (counts.total(9.9), counts.good(9.9)) == (3, 2)
    assert (counts.total(10.0), counts.good(10.0)) == (2, 1)
    assert (counts.total(13.0), counts.good(13.0)) == (0, 0)


def test_a_long_silence_forgets_everything() -> None:
    counts = SlidingCounts(10.0)
    counts.add(1.0, 5, 5)
    assert counts.total(1000.0) == 0
    counts.add(1000.0, 1)
    assert (counts.total(1000.0), counts.good(1000.0)) == (1, 0)


def test_an_older_time_counts_as_the_newest() -> None:
    counts = SlidingCounts(10.0)
    counts.add(20.0)
    counts.add(5.0)
    assert counts.total(29.9) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_it_agrees_with_a_list_of_all_events(steps: list[tuple[int, bool]]) -> None:
    counts, events, now = SlidingCounts(8.0, buckets=4), [], 0
    for step, good in steps:
        now += step
        counts.add(now, 1, good)
        events.append((now, good))
        inside = [each for each in events if each[0] // 2 > now // 2 - 4]
        assert counts.total(now) == len(inside)
        assert counts.good(now) == sum(good for _, good in inside)


def test_a_window_of_one_slice_forgets_all_at_once() -> None:
    counts = SlidingCounts(10.0, buckets=1)
    counts.add(9.0)
    assert (counts.total(9.9), counts.total(10.0)) == (1, 0)


def test_it_refuses_an_empty_window() -> None:
    with pytest.raises(ValueError, match="window_s"):
        SlidingCounts(0.0)


def test_repr() -> None:
    counts = SlidingCounts(10.0)
    counts.add(1.0, 4, 3)
    assert repr(counts) == "<SlidingCounts 3 good of 4 in 10s>"
