"""Which readings of a testbed count, and the judgement over them: Redis and ours count, Prometheus is shown only."""

import numpy as np
import pytest

from chaos.record.series import Array
from chaos.soak.looks import (
    NOT_OURS,
    REDIS_DATA,
    STRETCH_MIN_S,
    Look,
    counting,
    healthy_for_s,
    is_enough,
    judge,
    longest_stretch,
    restarted,
)
from tests.unit.soak.readings_of_memory import looks, troubled, with_starts


def test_a_container_that_grows_is_named_with_its_rate() -> None:
    found = {one.name: (round(one.per_hour, 6), counts) for one, counts, _ in judge(looks(redis=60.0, router=0.0))}
    assert found == {"redis": (60.0, True), "router": (0.0, False)}


@pytest.mark.parametrize(
    ("count", "per_hour", "grows"),
    [(37, 9.0, False), (37, 11.0, True), (361, 0.9, False), (361, 1.1, True), (721, 0.9, False), (721, 1.1, True)],
)
def test_a_megabyte_must_have_come_in_the_stretch_or_in_an_hour_of_it(count: int, per_hour: float, grows: bool) -> None:
    """Six minutes, an hour, two hours."""
    assert [row.counts for row in judge(looks(count, router=per_hour))] == [grows]


@pytest.mark.parametrize(
    ("count", "per_hour", "grows"), [(37, 29.0, False), (37, 31.0, True), (361, 2.9, False), (361, 3.1, True)]
)
def test_of_redis_three_megabytes_must_have_come(count: int, per_hour: float, grows: bool) -> None:
    assert [row.counts for row in judge(looks(count, redis_data=per_hour, redis=per_hour))] == [grows, grows]


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_third_party_containers_are_shown_but_not_judged(name: str) -> None:
    ((one, counts, word),) = judge(looks(37, None, **{name: 100.0}))
    assert (one.grows, counts, word) == (True, False, "not judged")


@pytest.mark.parametrize(
    ("resident", "data", "words"),
    [
        (60.0, 0.0, {"redis": "grows: gaps in the allocator's pages, not data", REDIS_DATA: ""}),
        (60.0, 40.0, {"redis": "grows: data", REDIS_DATA: "grows"}),
        (0.0, 40.0, {"redis": "", REDIS_DATA: "grows"}),
        (0.0, 0.0, {"redis": "", REDIS_DATA: ""}),
        (60.0, None, {"redis": "grows"}),
    ],
)
def test_what_grows_in_redis_is_said_and_either_counts(
    resident: float, data: float | None, words: dict[str, str]
) -> None:
    rows = judge(looks(redis_data=data, redis=resident))
    assert {row.trend.name: row.word for row in rows} == words
    assert [row.counts for row in rows] == [bool(row.word) for row in rows]


def test_a_container_that_came_later_or_was_started_again_is_left_out() -> None:
    rows = with_starts(looks(redis=0.0, router=30.0), router=20)
    rows[-1].memory_mb["identity-eastus-5"] = 50.0
    assert [row.trend.name for row in judge(rows)] == ["redis"]


def test_a_container_that_was_started_again_or_ended_is_named() -> None:
    rows = with_starts(looks(redis=0.0, router=0.0, loadgen=0.0, prometheus=0.0), router=20, prometheus=20)
    del rows[30].started["loadgen"]
    rows[-1].started["identity-eastus-5"] = "later"
    assert restarted(rows) == ["loadgen", "router"]


def test_a_look_counts_when_there_was_no_trouble_for_the_settling_time() -> None:
    rows = troubled(looks(10, redis=0.0), 3, 4)
    assert healthy_for_s(rows) == [0.0, 10.0, 20.0, None, None, 0.0, 10.0, 20.0, 30.0, 40.0]
    assert counting(rows, 20.0) == [False, False, True, False, False, False, False, True, True, True]
    assert counting(rows, 0.0) == [n not in (3, 4) for n in range(10)]


@pytest.mark.parametrize(
    ("counts", "found"),
    [("0110111", (4, 7)), ("111011", (0, 3)), ("11011", (3, 5)), ("000", (0, 0)), ("", (0, 0)), ("1", (0, 1))],
)
def test_the_longest_stretch_is_judged_and_of_equal_ones_the_last(counts: str, found: tuple[int, int]) -> None:
    stretch = longest_stretch([one == "1" for one in counts])
    assert (stretch.start, stretch.stop) == found


def test_five_minutes_can_be_judged_or_a_whole_shorter_watch() -> None:
    enough = round(STRETCH_MIN_S / 10.0) + 1
    assert is_enough(looks(enough, redis=0.0), 3600.0)
    assert not is_enough(looks(enough - 1, redis=0.0), 3600.0)
    assert is_enough(looks(7, redis=0.0), 60.0)
    assert not is_enough(looks(5, redis=0.0), 40.0)


JOBS_ALIVE, LIFETIME_S = 1250, 900.0
STEP_S = 60.0


def redis_by_chance(rng: np.random.Generator) -> Array:
    """MB in Redis in an hour of base load: jobs come at random, their resources (15 MB) live for a quarter of an hour,
    and so do their finished operations (6 MB), a minute later; the rest (14.5 MB) is always there.
    """
    began = -2 * LIFETIME_S - STEP_S
    jobs = np.sort(rng.uniform(began, 3600.0, rng.poisson(JOBS_ALIVE * (3600.0 - began) / LIFETIME_S)))
    times = np.arange(0.0, 3600.0 + STEP_S, STEP_S)

    def alive(at: Array) -> Array:
        return (np.searchsorted(jobs, at) - np.searchsorted(jobs, at - LIFETIME_S)) / JOBS_ALIVE

    return 14.5 + 15.0 * alive(times) + 6.0 * alive(times - STEP_S)


@pytest.mark.parametrize(("hours", "leak_mb_per_hour", "grown"), [(40, 0.0, 0), (20, 10.0, 20)])
def test_what_comes_and_goes_by_chance_is_no_growth_and_a_leak_under_it_is(
    hours: int, leak_mb_per_hour: float, grown: int
) -> None:
    """With a floor of one megabyte the ninth hour would grow."""
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(hours):
        data = redis_by_chance(rng)
        data += leak_mb_per_hour * np.arange(len(data)) * STEP_S / 3600.0
        rows = [Look(number * STEP_S, {"redis": mb}) for number, mb in enumerate(data)]
        found += judge(rows)[0].counts
    assert found == grown
