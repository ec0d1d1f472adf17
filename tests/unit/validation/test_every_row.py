"""Every row can fail: a wrong setting takes it out of its band."""

import pytest

from chaos.studies.validation.command import ROWS, judge
from services.chassis.settings import Tree

SEEDS = 3
"""Few, so that the band is ten times as wide as over the row's own seeds: what is outside it is far outside.

A row without chance has fewer itself, and a band without width over any.
"""


def _client(**changes: Tree) -> Tree:
    return {"identity_client": changes}


WRONG: dict[str, Tree] = {
    "V01": {"identity": {"workers": 4}},
    "V02": {"identity": {"queue_length": 1000}},
    "V03": _client(sdk={"attempts": 1}),
    "V04": _client(guard={"budget": {"deposit": 0.0, "capacity": 1.0}}),
    "V05": _client(guard={"breaker": {"mode": "off"}}),
    "V06": _client(sdk={"attempts": 2}),
    "V07": _client(guard={"scope": "region"}),
    "V08": {"identity": {"contention_slowdown": 0.0}},
    "V09": {"backoff": {"attempts": 1}},
    "V10": _client(sdk={"attempts": 1}),
    "V11": {"identity_client": {"timeout_s": 5.0}},
    "V12": _client(sdk={"attempts": 1}),
    "V14": {"identity": {"workers": 60}},
    "V15": _client(sdk={"attempts": 1}),
    "V16": {"identity": {"workers": 8}},
    "V17": {"router": {"failover": {"enabled": False}}},
    "V18": _client(guard={"throttle": {"k": 10.0}}),
}


def test_every_row_is_shown_red() -> None:
    assert WRONG.keys() == ROWS.keys()


SHORT = ("V09", "V15")
"""In `make test`; the other rows are part of `make test-long`."""


def _marks(id_: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xdist_group(id_), *([] if id_ in SHORT else [pytest.mark.long])]


@pytest.mark.parametrize("id_", [pytest.param(id_, marks=_marks(id_)) for id_ in WRONG])
def test_a_wrong_setting_shows(id_: str) -> None:
    """Each row is a group of its own: they share nothing, and together they are a tenth of all tests' CPU time."""
    judged = judge(id_, min(SEEDS, ROWS[id_].seeds), WRONG[id_])
    assert "contradicted" in {figure.verdict for figure in judged.figures}
    assert not judged.expected
