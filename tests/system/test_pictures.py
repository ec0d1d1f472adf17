"""The dashboards as somebody sees them, at five moments of the incident, on a wall and on a laptop.

Skipped where GRAFANA_VIEW names no viewer; `.ci/run` sets it.
"""

from pathlib import Path

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


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("name", "size"), [*((name, "wall") for name in DASHBOARDS), ("incident", "laptop")], ids=lambda value: str(value)
)
def test_every_panel_shows_something_and_nothing_is_wrong(
    incident: Incident, name: str, size: str, moment: int, tmp_path: Path
) -> None:
    picture = f"{name}-{moment}-{size}"
    report = draw(FOLDER / f"{name}.json", PROMETHEUS, incident.at(moment), size, tmp_path, picture)
    assert report["panels"]
    assert complaints(report) == []
    quiet = {"Admission limit"} if moment not in LIMITED else set()
    quiet |= {"Alerts that fire, and the service to look at"} if moment >= OVER else set()
    assert empty(report) <= quiet
