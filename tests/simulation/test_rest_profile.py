"""The load profile `rest`: every stall is recovered from, where a region under the incident's load stays down."""

from pathlib import Path

import pytest
import yaml

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.recorder import Recorder
from chaos.scenarios.loader import load

REGIONS = ("eastus", "westus")
SHORT = Path("chaos/scenarios/azure-fnj8-vqz-short.yaml")
STALL_T = 5.0
SIZE = 0.5


def stalled(folder: Path, profile: str, stall_s: float, after_s: float) -> Recorder:
    """The pair of the short scenario, whose identity nodes freeze for so long."""
    document = yaml.safe_load(SHORT.read_text(encoding="utf-8"))
    freeze = {
        "id": "X1",
        "at_s": STALL_T,
        "do": "inject_fault",
        "kind": "freeze",
        "target": {"service": "identity"},
        "lease_s": stall_s,
    }
    document |= {
        "name": "stalled",
        "duration_s": STALL_T + stall_s + after_s,
        "regions": [region for region in document["regions"] if region["name"] in REGIONS],
        "load": {name: document["load"][name] for name in REGIONS},
        "timeline": [freeze],
    }
    for name in ("remediation", "expect", "claims"):
        del document[name]
    path = folder / "stalled.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    plan = make_plan(load(str(path), size=SIZE), 1, overlays=[{"loadgen": {"profile": profile}}])
    finished = carry_out(plan, transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return finished.recorder


def success(recorder: Recorder, region: str, start_t: float, end_t: float) -> float:
    tries = recorder.increase(
        "identity_client_attempts_total", {"layer": "sdk", "region": region}, start_t, end_t, by=("outcome",)
    )
    return tries.get(("ok",), 0.0) / sum(tries.values())


def test_the_incidents_load_stays_down_after_six_seconds(tmp_path: Path) -> None:
    recorder = stalled(tmp_path, "base", 6.0, 30.0)
    end_t = STALL_T + 36.0
    assert {region: success(recorder, region, end_t - 15.0, end_t) < 0.2 for region in REGIONS} == dict.fromkeys(
        REGIONS, True
    )


@pytest.mark.parametrize("stall_s", [pytest.param(6.0, marks=pytest.mark.long), 60.0])
def test_the_rest_profile_recovers_by_itself(tmp_path: Path, stall_s: float) -> None:
    recorder = stalled(tmp_path, "rest", stall_s, 60.0)
    end_t = STALL_T + stall_s + 60.0
    assert {region: success(recorder, region, end_t - 30.0, end_t) for region in REGIONS} == dict.fromkeys(REGIONS, 1.0)
