"""The walk finds every container of our own objects, wherever it hangs, and counts it once."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import pytest
from aiohttp import web

from chaos.soak.census import application_roots, census, module_caches
from services.identity import directory
from services.identity.directory import system_assigned
from services.policies.recent import Recent

HERE = (__name__,)


@dataclass
class Holder:
    plain: list[int] = field(default_factory=list)
    nested: dict[str, list[int]] = field(default_factory=dict)
    other: "Slotted | None" = None


class Slotted:
    __slots__ = ("__private", "queue")

    def __init__(self) -> None:
        self.queue = deque([1, 2])
        self.__private = {1, 2, 3}


class Handler:
    def __init__(self) -> None:
        self.seen = OrderedDict(a=1)

    async def serve(self, _request: web.Request) -> web.Response:
        return web.Response()


def remembering() -> Callable[[int], None]:
    memory: list[int] = []

    def remember(number: int) -> None:
        memory.append(number)

    return remember


def test_attributes_slots_and_what_they_hold_are_counted() -> None:
    counts = census([Holder([1, 2, 3], {"a": [1], "b": [1, 2]}, Slotted())], HERE)
    assert counts == {
        "Holder.plain": 3,
        "Holder.nested": 2,
        "Holder.nested[]": 3,
        "Slotted.queue": 2,
        "Slotted._Slotted__private": 3,
    }


@pytest.mark.parametrize("held", [0, 2, 5])
def test_a_ring_counts_as_full_however_many_it_holds(held: int) -> None:
    assert census([Holder(deque([{"a": 1}] * held, maxlen=5))], HERE) == {"Holder.plain": 5, "Holder.nested": 0}  # type: ignore[arg-type]


@pytest.mark.parametrize("held", [0, 2, 5])
def test_a_cache_of_bounded_size_counts_as_full_however_many_it_holds(held: int) -> None:
    cache: Recent[int, list[int]] = Recent(5)
    for number in range(held):
        cache[number] = [1, 2, 3]
    assert census([Holder(cache)], HERE) == {"Holder.plain": 5, "Holder.nested": 0}  # type: ignore[arg-type]


def test_a_shared_object_is_counted_once() -> None:
    shared = [1, 2, 3]
    assert census([Holder(shared), Holder(shared)], HERE)["Holder.plain"] == 3


def test_a_reference_cycle_is_walked_once() -> None:
    ring = Holder()
    ring.nested = {"me": [ring]}  # type: ignore[list-item]
    assert census([ring], HERE)["Holder.nested[]"] == 1


def test_a_closure_a_method_and_a_partial_are_followed() -> None:
    remember = remembering()
    for number in range(5):
        remember(number)
    assert census([remember], HERE)["remembering.<locals>.remember.memory"] == 5
    assert census([Holder([1]).__repr__, partial(remember, 1)], HERE)["Holder.plain"] == 1


def test_objects_of_other_packages_are_not_walked() -> None:
    assert census([Holder([1, 2])], ("elsewhere.",)) == {}


def test_an_application_gives_its_keys_handlers_and_hooks() -> None:
    app = web.Application()
    app[web.AppKey("holder", Holder)] = Holder([1, 2])
    app.router.add_get("/", Handler().serve)
    counts = census(application_roots(app, None), HERE)
    assert (counts["Holder.plain"], counts["Handler.seen"]) == (2, 1)


@pytest.mark.parametrize("held", [0, 7])
def test_caches_of_modules_count_as_full_if_they_have_a_bound(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    system_assigned.cache_clear()
    unbounded = lru_cache(maxsize=None)(len)
    monkeypatch.setattr(directory, "unbounded", unbounded, raising=False)
    for number in range(held):
        system_assigned(f"caller-{number}")
        unbounded(f"{number}")
    counts = module_caches()
    assert counts["services.identity.directory.system_assigned"] == system_assigned.cache_info().maxsize
    assert counts["services.identity.directory.unbounded"] == held
