"""The command over a running testbed: when it begins to count, what it leaves out, and its exit codes."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from chaos.soak.looks import Look
from chaos.soak.settling import settled_after
from chaos.soak.watch import WAITS_MAX, Watch
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import Clock
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED
from tests.unit.soak.readings_of_memory import looks, troubled, with_starts

START_MB = 40.0


class Engine:
    """A testbed whose Redis grows by so many MB an hour and whose troubles the test sets, by second."""

    def __init__(self, troubles: Sequence[tuple[float, float, str]] = (), per_hour: float = 0.0) -> None:
        self.start_s = asyncio.get_running_loop().time()
        self.said: list[str] = []
        self.started: dict[str, str] = {"redis": "once", "grafana": "once"}
        self.age_s = 0.0
        self._troubles = troubles
        self._per_hour = per_hour

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.start_s

    def say(self, line: object) -> None:
        self.said.append(f"{self.now():.0f} {line}")

    async def look(self) -> Look:
        return Look(
            self.now(),
            {"redis": START_MB + self._per_hour * self.now() / 3600.0, "grafana": 9.0},
            dict(self.started),
            self.age_s + self.now(),
        )

    async def trouble(self) -> str:
        return next((why for begin, end, why in self._troubles if begin <= self.now() < end), "")

    async def redis_data_mb(self) -> float:
        return 35.4

    def watch(self, minutes: float) -> Watch:
        return Watch(60.0 * minutes, Clock(self.now, 0.0), self.say)


@pytest.mark.parametrize(
    ("troubles", "begins_s"),
    [
        ((), 1800.0),
        (((0.0, 600.0, "northeurope has 0.1 of its load"),), 2400.0),
        (((900.0, 910.0, "eastus is down"), (1500.0, 1700.0, "eastus: drain")), 3500.0),
    ],
)
async def test_the_first_reading_waits_for_health_at_full_load(
    troubles: Sequence[tuple[float, float, str]], begins_s: float
) -> None:
    engine = Engine(troubles)
    watch = engine.watch(10.0)
    await watch.settle(engine, engine, settled_after(1800.0))
    assert engine.now() == begins_s
    assert [
        line for _, _, why in troubles for line in engine.said if f"not settled: {why}" in line
    ] != [] or not troubles


async def test_the_wait_says_what_for_and_how_long_and_then_every_five_minutes() -> None:
    engine = Engine([(400.0, 410.0, "eastus is down")])
    await engine.watch(10.0).settle(engine, engine, settled_after(600.0))
    assert engine.said == [
        "0 waiting until the testbed is healthy at full load for as long as it takes to fill the time given with "
        "--settle (10 min); --settle MINUTES changes it",
        "0 minute    0: healthy at full load; settled in 10 min unless that changes",
        "300 minute    5: healthy at full load; settled in 5 min unless that changes",
        "400 minute    7: not settled: eastus is down",
        "410 minute    7: healthy at full load; settled in 10 min unless that changes",
        "710 minute   12: healthy at full load; settled in 5 min unless that changes",
    ]


async def test_a_container_that_is_started_again_settles_anew() -> None:
    engine = Engine()
    asyncio.get_running_loop().call_later(305.0, engine.started.update, {"redis": "again", "grafana": "again"})
    await engine.watch(10.0).settle(engine, engine, settled_after(600.0))
    assert engine.now() == 320.0 + 600.0
    assert "310 minute    5: not settled: redis ended or was started again" in engine.said


async def test_rings_fill_with_the_age_of_the_containers_not_with_health() -> None:
    settling = settled_after(600.0)
    settling = settling._replace(rings=settling.rings._replace(takes_s=5000.0))
    for age_s, begins_s in ((0.0, 5000.0), (3000.0, 2000.0), (4900.0, 600.0)):
        engine = Engine()
        engine.age_s = age_s
        await engine.watch(10.0).settle(engine, engine, settling)
        assert engine.now() == begins_s


async def test_nothing_is_waited_for_on_request() -> None:
    engine = Engine([(0.0, 1e9, "eastus is down")])
    await engine.watch(10.0).settle(engine, engine, settled_after(0.0))
    assert (engine.now(), engine.said) == (0.0, [])


async def test_a_testbed_that_does_not_settle_is_given_up_with_the_reason() -> None:
    engine = Engine([(60.0 * n, 60.0 * n + 10.0, "eastus is down") for n in range(1000)])
    with pytest.raises(RuntimeUnavailable, match=r"could not be judged: .* last trouble: eastus is down"):
        await engine.watch(10.0).settle(engine, engine, settled_after(600.0))
    assert engine.now() == WAITS_MAX * 600.0 + 10.0


async def judged(engine: Engine, minutes: float, settle_s: float) -> tuple[int, str]:
    watch = engine.watch(minutes)
    await watch.settle(engine, engine, settled_after(settle_s))
    start_s = engine.now()
    await watch.follow(engine, engine)
    assert engine.now() - start_s == 60.0 * minutes
    return watch.conclude(), "\n".join(engine.said)


async def test_a_collapse_its_repair_and_the_settling_time_after_it_are_shown_but_not_judged() -> None:
    """The hour of 2026-11-30: Redis is low at its start, a collapse fills it, the repair empties it."""
    engine = Engine([(1200.0, 1740.0, "eastus is down"), (1740.0, 2340.0, "eastus has 0.1 of its load")], per_hour=12.0)
    code, said = await judged(engine, 60.0, 600.0)
    assert "minutes 10 to 39 are not judged: eastus is down, eastus has 0.1 of its load, and 10 min after it" in said
    assert "1200 minute   10: 53 MB in total, Redis 44.0 MB with 35.4 MB of data; not judged: eastus is down" in said
    assert (
        "2400 minute   30: 57 MB in total, Redis 48.0 MB with 35.4 MB of data; not judged: within the settling" in said
    )
    assert (code, "grows: redis" in said) == (CONTRADICTED, True)


async def test_what_only_a_collapse_adds_is_no_growth() -> None:
    engine = Engine([(700.0, 1300.0, "eastus is down")])

    async def look() -> Look:
        gaps = 8.0 if engine.now() > 1000.0 else 0.0
        return Look(engine.now(), {"redis": START_MB + gaps})

    engine.look = look  # type: ignore[method-assign]
    code, said = await judged(engine, 60.0, 300.0)
    assert (code, "nothing grows" in said) == (EXPECTED, True)


async def test_too_little_is_no_verdict() -> None:
    engine = Engine([(250.0 + 300.0 * n, 270.0 + 300.0 * n, "westus is down") for n in range(100)], 100.0)
    code, said = await judged(engine, 60.0, 200.0)
    assert code == BAD_INPUT
    assert "could not be judged: the longest stretch that counts is " in said
    assert "grows" not in said


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (with_starts(looks(redis=0.0, router=0.0)), EXPECTED),
        (with_starts(looks(redis=60.0, router=0.0)), CONTRADICTED),
        (with_starts(looks(redis=0.0, router=0.0), router=20), BAD_INPUT),
        (with_starts(looks(redis=60.0, router=0.0), router=20), CONTRADICTED),
        (with_starts(looks(redis=0.0, router=30.0), router=20), BAD_INPUT),
        (with_starts(troubled(looks(74, redis=0.0, router=30.0), *range(37)), router=20), CONTRADICTED),
        (with_starts(looks(redis=0.0, prometheus=0.0), prometheus=20), EXPECTED),
        (troubled(looks(redis=60.0), *range(37)), BAD_INPUT),
        (troubled(looks(redis=60.0), 20), BAD_INPUT),
        ([replace(row, redis_data_mb=None) for row in looks(redis=0.0, redis_data=30.0)], EXPECTED),
        (looks(redis=0.0, redis_data=60.0), CONTRADICTED),
    ],
)
async def test_exit_codes(rows: list[Look], code: int) -> None:
    """A container that reaches its limit is killed and starts small: that is no sign that nothing grows."""
    watch = Engine().watch(6.0)
    watch.looks.extend(rows)
    assert watch.conclude() == code
