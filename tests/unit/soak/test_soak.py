"""The soak itself: flat with everything in place, red when one deletion is switched off."""

import io
import signal
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from chaos.soak import command, virtual
from chaos.soak.command import conclude, growing, soak_command
from chaos.soak.readings import SoakReading
from chaos.soak.store import Stock, stock
from chaos.soak.virtual import soak
from compose.virtual.world import VirtualWorld
from services.chassis.exit_codes import CONTRADICTED, EXPECTED
from services.chassis.interrupts import Interrupted
from tests.contract.small_testbed import pair

READINGS_AN_HOUR = 100
HOURS, SETTLED_H = 0.08, 0.025
QUICK: dict[str, Any] = {
    "loadgen": {
        "resource_lifetime_s": 30.0,
        "patience_mean_s": 15.0,
        "patience_min_s": 10.0,
        "warm_runners": 1,
        "ready_machines": 1,
        "identities_max": 2,
        "machine_age_max_s": 30.0,
        "arrivals_kept_max": 100,
        "regions": {
            "eastus": {"token_rate_per_s": 1.0, "job_rate_per_s": 1.0},
            "westus": {"token_rate_per_s": 0.0, "job_rate_per_s": 0.0},
        },
    },
    "provisioner": {"operation_retention_s": 30.0, "poll_s": 5.0},
}
"""A small region whose lifetimes are so short that a few minutes show what a day does."""

LEAKS: dict[str, Any] = {
    "loadgen": {"resource_lifetime_s": 1e6},
    "provisioner": {"operation_retention_s": 1e6},
}


@pytest.fixture(autouse=True)
def small_and_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "READINGS_AN_HOUR", READINGS_AN_HOUR)
    monkeypatch.setattr(virtual, "REGIONS", ("eastus", "westus"))
    monkeypatch.setattr(virtual, "load", lambda _name: pair())  # a node in each: every object is looked at eight times


def names(overrides: dict[str, Any]) -> list[str]:
    from services.chassis.settings import merge

    readings: list[SoakReading] = []
    soak(HOURS, readings.append, overrides=merge(QUICK, overrides))
    assert len(readings) == round(HOURS * READINGS_AN_HOUR)
    return [one.name for one in growing(readings, SETTLED_H, 1 / READINGS_AN_HOUR)]


def test_machines_identities_and_operations_are_flat() -> None:
    grown = names({})
    assert [name for name in grown if name.startswith(("entries compute", "entries identities", "keys"))] == []


def test_a_deletion_that_is_switched_off_is_seen_in_the_store_and_in_memory() -> None:
    grown = names(LEAKS)
    for kept in ("resources", "operations"):
        assert f"entries compute:eastus:{kept}" in grown
        assert f"state provisioner: Compute.{kept}" in grown


def test_the_exit_code_follows_what_grows() -> None:
    console = Console(file=io.StringIO(), width=200)
    assert conclude([], 24.0, 1.0, console) == EXPECTED
    from chaos.soak.trend import Trend

    assert conclude([Trend("entries x", 10.0, 1.0, True)], 24.0, 1.0, console) == CONTRADICTED
    assert "grows  entries x: +1 an hour at 10" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_is_held_is_judged_and_resident_memory_only_where_that_is_not_known() -> None:
    def reading(quarter: int, held_mb: float | None, rss_mb: float) -> SoakReading:
        return SoakReading(quarter / 4, {}, {}, Counter(), Counter(), 0, rss_mb, held_mb, {})

    held = [reading(quarter, 200.0 + quarter, 300.0) for quarter in range(1, 40)]
    gaps_alone = [reading(quarter, 200.0, 300.0 + quarter) for quarter in range(1, 40)]
    unknown = [reading(quarter, None, 300.0 + quarter) for quarter in range(1, 40)]
    assert [[one.name for one in growing(rows)] for rows in (held, gaps_alone, unknown)] == [
        ["held_mb"],
        [],
        ["rss_mb"],
    ]
    assert command.gaps(gaps_alone) == (
        "resident memory: +4 MB an hour at 324, of which 124 are code and gaps of the allocator; what is held is judged"
    )


@pytest.mark.parametrize(("hours", "said"), [(3.75, ""), (4.0, "1 grow after hour 2 of 4;")])
def test_an_interrupted_soak_judges_the_hours_it_has(monkeypatch: pytest.MonkeyPatch, hours: float, said: str) -> None:
    def interrupted(_hours: float, tell: Callable[[SoakReading], None], **_more: object) -> None:
        for quarter in range(1, round(4 * hours) + 1):
            state = defaultdict(Counter[str], {"router": Counter({"Leak.kept": 10_000 * quarter})})
            tell(
                SoakReading(quarter / 4, {"fault:*": Stock(1, 1, 1)}, state, Counter(), Counter(), 0, 300.0, 200.0, {})
            )
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(command, "soak", interrupted)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(Interrupted):
        soak_command(24.0, 1, {}, console)
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert ("grow" in console.file.getvalue()) == bool(said)  # type: ignore[attr-defined]


async def test_the_stock_of_the_store_by_family(world: VirtualWorld) -> None:
    store = world.redis.client()
    await store.set("overlay", "{}")
    await store.set("fault:f12", "abc")
    await store.set("fault:f13", "abcd")
    await store.hset("compute:eastus:operations", mapping={"a": "12", "b": "345"})
    await store.zadd("loadgen:leftovers", {"one": 1.0})
    await store.sadd("blobstore:eastus:uploads", "x", "y")
    await store.xadd("events", {"line": "hello"})
    found = await stock(store)
    assert found["fault:*"] == (2, 2, 7 + 2 * len("fault:f12"))
    assert found["compute:eastus:operations"][:2] == (1, 2)
    assert found["compute:eastus:operations"].size_bytes == 7 + len("compute:eastus:operations")
    assert (found["loadgen:leftovers"].entries, found["blobstore:eastus:uploads"].entries) == (1, 2)
    assert found["events"].size_bytes == len("line") + len("hello") + len("events")
