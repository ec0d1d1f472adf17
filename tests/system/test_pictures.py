"""The dashboards as somebody sees them, at five moments of the incident, on a wall and on a laptop.

Skipped where GRAFANA_VIEW names no viewer; `.ci/run` sets it.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.system_desk import PROMETHEUS
from tests.system.system_incident import Incident
from tests.system.system_pictures import VIEWER, check, complaints, draw, empty
from tests.system.system_testbed import ROOT

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not VIEWER, reason="GRAFANA_VIEW names no viewer of dashboards"),
]
FOLDER = ROOT / "grafana" / "dashboards"
DASHBOARDS = ("incident", "region", "policies", "chaos")
MOMENTS = (20, 45, 100, 135, 200)
LIMITED = range(128, 190)
"""An admission limit exists while operators drain or ramp; at all other times there is none to show."""
OVER = 190
"""From here on no alert fires, and their table is rightly empty."""


def test_the_files_are_what_grafana_reads() -> None:
    assert check([FOLDER / f"{name}.json" for name in DASHBOARDS]) == ""


VIEWS = [*((name, "wall") for name in DASHBOARDS), ("incident", "laptop")]
PENS = 2
"""Pictures drawn at once: most of one is the start of a browser."""


@pytest.fixture(scope="module")
def drawn(incident: Incident, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, int], dict[str, Any]]:
    """The report of every picture."""
    folder = tmp_path_factory.mktemp("pictures")

    def one(name: str, size: str, moment: int) -> dict[str, Any]:
        at_s = incident.at(moment)
        return draw(FOLDER / f"{name}.json", PROMETHEUS, at_s, size, folder, f"{name}-{moment}-{size}")

    wanted = [(name, size, moment) for name, size in VIEWS for moment in MOMENTS]
    with ThreadPoolExecutor(PENS) as pool:
        return dict(zip(wanted, pool.map(lambda view: one(*view), wanted), strict=True))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("name", "size"), VIEWS, ids=lambda value: str(value))
def test_every_panel_shows_something_and_nothing_is_wrong(
    drawn: dict[tuple[str, str, int], dict[str, Any]], name: str, size: str, moment: int
) -> None:
    report = drawn[name, size, moment]
    assert report["panels"]
    assert complaints(report) == []
    quiet = {"Admission limit"} if moment not in LIMITED else set()
    quiet |= {"Firing alerts"} if moment >= OVER else set()
    assert empty(report) <= quiet
