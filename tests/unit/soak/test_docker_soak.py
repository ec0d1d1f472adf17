"""The judgement over containers: Redis and ours count, Prometheus is shown only."""

import pytest

from chaos.soak.docker import NOT_OURS, Look, judge, name_of, used_mb
from compose.docker_engine import COMPOSE_SERVICE, INSTANCE


def looks(**per_hour: float) -> list[Look]:
    """Six minutes of containers that begin at 50 MB and grow by so many MB an hour."""
    return [
        Look(10.0 * n, {name: 50.0 + rate * n * 10.0 / 3600.0 for name, rate in per_hour.items()}) for n in range(37)
    ]


def test_a_container_that_grows_is_named_with_its_rate() -> None:
    found = {one.name: (round(one.per_hour, 6), counts) for one, counts in judge(looks(redis=30.0, router=0.0))}
    assert found == {"redis": (30.0, True), "router": (0.0, False)}


def test_less_than_a_megabyte_an_hour_is_not_judged_to_grow() -> None:
    assert [counts for _, counts in judge(looks(redis=0.9))] == [False]
    assert [counts for _, counts in judge(looks(redis=1.1))] == [True]


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_third_party_containers_are_shown_but_not_judged(name: str) -> None:
    ((one, counts),) = judge(looks(**{name: 100.0}))
    assert (one.grows, counts) == (True, False)


def test_a_container_that_came_later_is_left_out() -> None:
    rows = looks(redis=0.0)
    rows[-1].memory_mb["identity-eastus-5"] = 50.0
    assert [one.name for one, _ in judge(rows)] == ["redis"]


@pytest.mark.parametrize("key", ["total_inactive_file", "inactive_file"])
def test_memory_is_without_the_page_cache(key: str) -> None:
    assert used_mb({"usage": 80_000_000, "stats": {key: 30_000_000}}) == 50.0


def test_a_container_is_named_by_its_instance_or_its_service() -> None:
    assert name_of({INSTANCE: "identity-eastus-1", COMPOSE_SERVICE: "identity-eastus-1"}) == "identity-eastus-1"
    assert name_of({COMPOSE_SERVICE: "redis"}) == "redis"
