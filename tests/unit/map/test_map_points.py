"""Points of the map on the real services, and the word that each deserves."""

from typing import Any

import pytest

from chaos.studies.map.axes import Axis
from chaos.studies.map.points import Map, MapCell, MapFinding, MapKind, MapRun, classify, perform
from chaos.studies.map.probe import End, Probe

TRIGGER: dict[str, Any] = {"stalls_s": (3.0,), "watch_s": 20.0}


def finding(*ends: End) -> MapFinding:
    return classify([Probe(float(number), end) for number, end in enumerate(ends, 1)])


@pytest.mark.parametrize(
    ("ends", "kind", "tips_at_s", "stays_at_s"),
    [
        (("recovered", "recovered"), "stable", None, None),
        (("recovered", "returned", "recovered"), "vulnerable", 2.0, None),
        (("recovered", "returned", "stayed"), "metastable", 2.0, 3.0),
        (("failing",), "overloaded", None, None),
        (("unmeasured",), "unmeasured", None, None),
        ((), "unmeasured", None, None),
    ],
)
def test_the_word_follows_from_what_the_stalls_did(
    ends: tuple[End, ...], kind: MapKind, tips_at_s: float | None, stays_at_s: float | None
) -> None:
    found = finding(*ends)
    assert (found.kind, found.tips_at_s, found.stays_at_s) == (kind, tips_at_s, stays_at_s)


def test_several_seeds_are_called_by_the_worst_and_say_how_many_agree() -> None:
    cell = MapCell((), {1: finding("recovered"), 2: finding("recovered", "stayed"), 3: finding("stayed")})
    assert (cell.kind, cell.thresholds_s, cell.threshold_s) == ("metastable", [1.0, 2.0], 1.5)
    assert cell.share == 2 / 3
    assert MapCell(()).kind is None


def test_twelve_attempts_make_of_a_stall_what_one_attempt_does_not() -> None:
    twelve, one = (perform(MapRun((("load", "0.4"), ("retries", text)), 1, **TRIGGER)) for text in ("12", "1"))
    assert (twelve.kind, twelve.tips_at_s) == ("metastable", 3.0)
    last = twelve.probes[-1].last
    assert last is not None
    assert last.success < 0.1
    assert last.amplification > 6
    assert one.kind == "stable"
    assert one.probes[-1].shots == 2


def test_the_same_retries_survive_the_same_stall_at_half_the_load() -> None:
    assert perform(MapRun((("load", "0.2"), ("retries", "12")), 1, **TRIGGER)).kind == "stable"


def test_what_fails_unprovoked_is_overloaded_and_what_says_nothing_is_unmeasured() -> None:
    found = perform(MapRun((("load", "1.5"), ("retries", "1")), 1, **TRIGGER))
    assert found.kind == "overloaded"
    assert found.problem.startswith("CollapsedInWarmup: the region eastus collapsed before anything was injected")
    few = perform(MapRun((("loadgen.regions.eastus.token_rate_per_s", "0.5"), ("retries", "1")), 1, **TRIGGER))
    assert few.kind == "unmeasured"


def test_a_point_decides_over_what_holds_everywhere() -> None:
    at = (("retries", "8"), ("nodes", "3"))
    plan = MapRun(at, 1, mitigations=("R6",), assignments=("identity.queue_length=9",)).plan()
    client = plan.settings["identity_client"]
    assert (client["sdk"]["attempts"], client["workflow"]["attempts"]) == (4, 2)
    assert client["sdk"]["wait"] == "full_jitter"
    assert plan.settings["identity"]["queue_length"] == 9
    assert plan.topology.regions[0].identity_nodes == 3


def test_an_axis_of_stalls_is_the_trigger_itself() -> None:
    assert MapRun((("load", "0.4"), ("stall", "6")), 1).tried_s == (6.0,)
    assert MapRun((("load", "0.4"), ("retries", "1")), 1, stalls_s=(3.0, 1.0)).tried_s == (1.0, 3.0)


def test_the_first_seed_of_every_point_comes_before_the_second_of_any() -> None:
    one = Map(Axis("load", ("0.2", "0.4")), Axis("retries", ("1", "12")), (1, 2))
    assert [job.seed for job in one.jobs] == [1] * 4 + [2] * 4
    assert len({job.at for job in one.jobs}) == 4
