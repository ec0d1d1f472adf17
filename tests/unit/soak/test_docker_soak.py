"""Reading the containers, and what an interrupted command does."""

import asyncio
import io
import signal
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests.exceptions import ConnectionError as EngineGone
from rich.console import Console

from chaos.soak import docker as soak_docker
from chaos.soak.docker import _stats, name_of, soak_docker_command, used_mb
from chaos.soak.watch import Watch
from compose.docker_engine import COMPOSE_SERVICE, INSTANCE
from compose.runtime import RuntimeUnavailable
from services.chassis.interrupts import Interrupted
from tests.unit.soak.readings_of_memory import looks


@pytest.mark.parametrize("key", ["total_inactive_file", "inactive_file"])
def test_memory_is_without_the_page_cache(key: str) -> None:
    assert used_mb({"usage": 80_000_000, "stats": {key: 30_000_000}}) == 50.0


def test_a_container_is_named_by_its_instance_or_its_service() -> None:
    assert name_of({INSTANCE: "identity-eastus-1", COMPOSE_SERVICE: "identity-eastus-1"}) == "identity-eastus-1"
    assert name_of({COMPOSE_SERVICE: "redis"}) == "redis"


@pytest.mark.parametrize(
    ("count", "said"), [(0, ""), (5, "could not be judged: the longest stretch that counts is"), (37, "grows: redis")]
)
def test_an_interrupted_watch_is_judged_if_it_saw_enough(
    monkeypatch: pytest.MonkeyPatch, count: int, said: str
) -> None:
    async def watched(watch: Watch, *_arguments: Any) -> None:
        watch.looks.extend(looks(redis=60.0)[:count])
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(soak_docker, "run_until_signal", asyncio.run)
    monkeypatch.setattr(soak_docker, "_watch", watched)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(Interrupted):
        soak_docker_command(60.0, "aftershock", 0.0, console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert said in output
    assert bool(said) == bool(output)


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
