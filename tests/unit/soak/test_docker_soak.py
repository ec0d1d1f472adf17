"""The judgement over containers: Redis and ours count, Prometheus is shown only."""

import asyncio
import io
import signal
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests.exceptions import ConnectionError as EngineGone
from rich.console import Console

from chaos.soak import docker as soak_docker
from chaos.soak.docker import NOT_OURS, Look, _stats, judge, name_of, restarted, soak_docker_command, used_mb
from compose.docker_engine import COMPOSE_SERVICE, INSTANCE
from compose.runtime import RuntimeUnavailable
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED
from services.chassis.interrupts import Interrupted


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


def with_starts(rows: list[Look], **again_at: int) -> list[Look]:
    """The same looks; a container named in `again_at` has another start from that look on."""
    return [
        Look(row.at_s, row.memory_mb, {name: f"start {n >= again_at.get(name, 99)}" for name in row.memory_mb})
        for n, row in enumerate(rows)
    ]


def test_a_container_that_was_started_again_or_ended_is_named() -> None:
    rows = with_starts(looks(redis=0.0, router=0.0, loadgen=0.0), router=20)
    del rows[30].started["loadgen"]
    rows[-1].started["identity-eastus-5"] = "later"
    assert restarted(rows) == ["loadgen", "router"]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (with_starts(looks(redis=0.0, router=0.0)), EXPECTED),
        (with_starts(looks(redis=30.0, router=0.0)), CONTRADICTED),
        (with_starts(looks(redis=0.0, router=0.0), router=20), BAD_INPUT),
        (with_starts(looks(redis=30.0, router=0.0), router=20), CONTRADICTED),
        (with_starts(looks(redis=0.0, prometheus=0.0), prometheus=20), EXPECTED),
    ],
)
def test_what_was_started_again_could_not_be_judged(
    rows: list[Look], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that reaches its limit is killed and starts small: that is no sign that nothing grows."""

    watched(monkeypatch, rows)
    assert soak_docker_command(6.0, "aftershock", 0.0, Console(file=io.StringIO())) == code


def watched(monkeypatch: pytest.MonkeyPatch, rows: list[Look], ended: BaseException | None = None) -> None:
    """What the command sees."""

    async def watch(_meter: None, _minutes: float, _settle: float, _console: Console, looks: list[Look]) -> None:
        looks.extend(rows)
        if ended is not None:
            raise ended

    monkeypatch.setattr(soak_docker, "ContainerMeter", lambda _project: None)
    monkeypatch.setattr(soak_docker, "run_until_signal", asyncio.run)
    monkeypatch.setattr(soak_docker, "_watch", watch)


@pytest.mark.parametrize(("count", "said"), [(5, False), (37, True)])
def test_an_interrupted_watch_is_judged_if_it_saw_enough(
    monkeypatch: pytest.MonkeyPatch, count: int, said: bool
) -> None:
    watched(monkeypatch, looks(redis=30.0)[:count], Interrupted(signal.SIGINT))
    console = Console(file=io.StringIO())
    with pytest.raises(Interrupted):
        soak_docker_command(60.0, "aftershock", 0.0, console)
    assert ("grows: redis" in console.file.getvalue()) == said  # type: ignore[attr-defined]


class Ended:
    """A container that raises when it is asked for its statistics."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def stats(self, **_options: Any) -> Any:
        raise self._error


def test_a_container_that_ends_while_it_is_read_is_left_out_and_an_engine_that_goes_is_said() -> None:
    assert _stats(Ended(NotFound("gone"))) == {}
    for error in (APIError("500"), EngineGone("refused")):
        with pytest.raises(RuntimeUnavailable, match="the Docker engine does not answer"):
            _stats(Ended(error))
