"""The layers of `make bench`: whose a sampled stack is."""

import pytest

from tests.bench_layers import LAYERS, OTHER, PHASES, ROOT, file_of, layer_of, shares

COMMAND = "<module> (chaos/__main__.py:18);run_command (chaos/command/run.py:33)"
LOOP = f"{COMMAND};VirtualLoop._run_once (compose/virtual/kernel/loop.py:251)"
HANDLER = (
    f"{LOOP};Exchange._serve (compose/virtual/direct/exchange.py:147);Router.forward (services/router/handlers.py:9)"
)


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        (LOOP, "virtual time: loop, processes"),
        (HANDLER, "services: the rest and their policies"),
        (f"{HANDLER};sleep (asyncio/tasks.py:1)", "virtual time: loop, processes"),
        (f"{HANDLER};_create_fn (dataclasses.py:1)", "services: the rest and their policies"),
        (f"{HANDLER};observe (prometheus_client/metrics.py:1)", "metrics"),
        (f"{LOOP};sample (chaos/record/sampler.py:1);numbers (services/chassis/metrics.py:1)", PHASES[2][0]),
        (f"{COMMAND};judge (chaos/verdict/judge.py:1);split (re/__init__.py:1)", PHASES[1][0]),
        (f"{COMMAND};_find_and_load (<frozen importlib._bootstrap>:1);<module> (aiohttp/web.py:1)", PHASES[0][0]),
        (f"{HANDLER};_find_and_load (<frozen importlib._bootstrap>:1)", PHASES[0][0]),
        ("", OTHER),
    ],
)
def test_a_sample_belongs_to_the_innermost_known_layer(stack: str, layer: str) -> None:
    assert layer_of(stack) == layer


def test_shares_are_of_all_samples_and_the_largest_comes_first() -> None:
    assert list(shares(f"{LOOP} 1\n{HANDLER} 2\n{HANDLER};f (json/encoder.py:1) 5\n").items()) == [
        ("JSON and signatures", 0.625),
        ("services: the rest and their policies", 0.25),
        ("virtual time: loop, processes", 0.125),
    ]


def test_a_frame_without_a_line_has_a_file_and_no_frame_has_none() -> None:
    assert (file_of("f (a/b.py)"), file_of("f (<frozen runpy>:88)"), file_of("")) == ("a/b.py", "<frozen runpy>", "")


def test_our_layers_exist() -> None:
    ours = ("services/", "loadgen/", "compose/", "chaos/")
    places = [place for _name, all_places in (*PHASES, *LAYERS) for place in all_places if place.startswith(ours)]
    assert len(places) > 8
    assert [place for place in places if not (ROOT / place).exists()] == []
