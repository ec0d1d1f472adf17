"""One moment of a run: both waves of the incident are in it, and a region where nothing is tried is not called good."""

import pytest

from chaos.progress.glance import Success, glance
from chaos.progress.progress import head, line
from chaos.record.series import SeriesTable
from tests.unit.progress.progress_bench import CALM, FIRST_WAVE, REGIONS, SECOND_WAVE, Key, table

HEAD = "     τ  provis  identity  att/s   ampl  backlog  nodes   eastus  northeurope  last action"


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (CALM, "τ=  39   100 %     100 %     12   ×1.0        1      6  100/100      100/100  calm"),
        (FIRST_WAVE, "τ=  39    18 %     100 %     12   ×1.0      120      6   10/100      100/100  calm"),
        (SECOND_WAVE, "τ=  39    17 %       2 %    200  ×10.0      300      4      0/1      100/100  calm"),
    ],
    ids=["calm", "first wave", "second wave"],
)
def test_a_line_shows_both_waves(then: list[tuple[Key, float]], expected: str) -> None:
    samples = table((20, CALM), (20, then))
    assert head(REGIONS, has_clock=False) == HEAD
    assert line(glance(samples, REGIONS, 39.0), "", "calm") == expected


def test_a_line_of_a_scenario_at_the_pace_of_the_incident_has_its_calendar() -> None:
    said = line(glance(table((20, CALM)), REGIONS, 19.0), "02 Feb 18:22 UTC", "calm")
    assert said.startswith("τ=  19  02 Feb 18:22 UTC   100 %")
    assert head(REGIONS, has_clock=True).index("provis") == said.index(" 100 %")


def test_before_the_first_sample_no_values_are_shown() -> None:
    now = glance(SeriesTable(), REGIONS, 0.0)
    assert now.total == Success(None, None)
    assert now.amplification is None
    assert line(now, "", "calm") == "τ=   0       –         –      0      –        0      0      –/–          –/–  calm"


def test_a_region_without_attempts_is_neither_good_nor_bad() -> None:
    only_east = [(key, rate) for key, rate in CALM if key[1].get("region") != "northeurope"]
    now = glance(table((20, only_east)), REGIONS, 19.0)
    assert now.regions == {"eastus": Success(1.0, 1.0), "northeurope": Success(None, None)}


def test_only_attempts_on_the_wire_count_not_those_of_outer_layers() -> None:
    assert glance(table((20, CALM)), REGIONS, 19.0).offered_per_s == 12.0


def test_the_document_is_what_the_api_says() -> None:
    assert glance(table((20, CALM), (20, SECOND_WAVE)), REGIONS, 39.0).document() == {
        "t": 39.0,
        "total": {"provisioning": 0.167, "identity": 0.02},
        "regions": {
            "eastus": {"provisioning": 0.0, "identity": 0.01},
            "northeurope": {"provisioning": 1.0, "identity": 1.0},
        },
        "asked_per_s": 20.0,
        "offered_per_s": 200.0,
        "good_per_s": 4.0,
        "wasted_per_s": 60.0,
        "backlog": 300,
        "nodes_up": 4,
        "amplification": 10.0,
    }
