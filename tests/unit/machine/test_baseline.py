"""An unhealthy baseline says what is known about it, and only that."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chaos.cli import main
from chaos.experiment.baseline import CollapsedInWarmup, MachineStalled, NotEnoughLoad, UnhealthyBaseline, require
from chaos.record.machine import STALLS
from chaos.record.metric_names import ATTEMPTS, ENDED
from chaos.record.recorder import Recorder
from services.chassis.clock import Clock
from services.chassis.loop_lag import LAG_METRIC
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance

COUNTED = {
    "success": (ENDED, ("result",), ("success",)),
    "failure": (ENDED, ("result",), ("failure",)),
    "east_ok": (ATTEMPTS, ("layer", "region", "outcome"), ("sdk", "eastus", "ok")),
    "east_bad": (ATTEMPTS, ("layer", "region", "outcome"), ("sdk", "eastus", "timeout")),
    "west_ok": (ATTEMPTS, ("layer", "region", "outcome"), ("sdk", "westus", "ok")),
    "west_bad": (ATTEMPTS, ("layer", "region", "outcome"), ("sdk", "westus", "timeout")),
}


async def problem(*, stalled_s: float = 0.0, lag_s: float = 0.0, **counts: int) -> UnhealthyBaseline | None:
    """What the guard says of two samples ten seconds apart in which so much was counted."""
    now = [-11.0]
    recorder = Recorder(Clock(lambda: now[0], 0.0), 0.0)
    metrics = Metrics()
    labels = {name: names for name, names, _ in COUNTED.values()}
    families = {name: metrics.counter(name.removesuffix("_total"), "", names) for name, names in labels.items()}
    stalls = metrics.counter(STALLS.removesuffix("_total"), "")
    metrics.gauge(LAG_METRIC, "").set(lag_s)
    recorder.attach(Instance("controller", "", "controller", ""), metrics)
    await recorder.sample()
    for name, count in counts.items():
        family, _, values = COUNTED[name]
        families[family].labels(*values).inc(count)
    stalls.inc(stalled_s)
    now[0] = -1.0
    await recorder.sample()
    fields, found = require(recorder, "controller")
    assert fields["ok"] is (found is None)
    assert (fields.get("reason"), fields.get("why")) == ((type(found).__name__, str(found)) if found else (None, None))
    return found


async def test_a_healthy_baseline_has_no_problem_even_after_a_stall() -> None:
    assert await problem(success=100, east_ok=100, west_ok=50) is None
    assert await problem(success=100, east_ok=100, west_ok=50, stalled_s=4.0) is None


async def test_a_region_that_collapsed_is_named_and_the_machine_is_not_blamed() -> None:
    found = await problem(success=60, failure=40, east_ok=5, east_bad=95, west_ok=50)
    assert type(found) is CollapsedInWarmup
    assert "the region eastus collapsed before anything was injected: 5% in eastus" in str(found)
    assert "westus" not in str(found)
    assert "machine" not in str(found)
    assert "loop" not in str(found)


async def test_both_regions_that_collapsed_are_named() -> None:
    found = await problem(failure=100, east_bad=95, west_bad=50)
    assert "the regions eastus and westus collapsed" in str(found)


async def test_a_stalled_machine_is_named_with_what_it_lost() -> None:
    found = await problem(failure=100, east_bad=95, west_ok=5, stalled_s=4.2, lag_s=4.2)
    assert type(found) is MachineStalled
    assert "the machine stalled for 4.2 s in the warm-up" in str(found)
    assert "(eastus collapsed)" in str(found)


async def test_without_a_stall_the_largest_lag_is_said() -> None:
    found = await problem(success=90, failure=10, east_ok=90, east_bad=10, west_ok=5, lag_s=0.31)
    assert type(found) is UnhealthyBaseline
    assert "90.0% of 100 operations" in str(found)
    assert str(found).endswith("the largest event-loop lag was 0.31 s")


async def test_too_little_load_is_neither_slow_nor_collapsed() -> None:
    assert type(await problem(success=19, east_ok=19)) is NotEnoughLoad
    assert await problem(success=20, east_ok=20) is None


def assert_collapsed_in_warm_up(folder: Path, *arguments: str) -> None:
    result = CliRunner().invoke(main, ["run", *arguments, "--transport", "direct", "--out", f"{folder}/run"])
    said = " ".join(result.output.split())
    assert result.exit_code == 2
    assert "CollapsedInWarmup: the regions eastus and westus collapsed before anything was injected" in said
    assert "slow" not in said


def test_regions_that_collapse_in_their_warm_up_are_named_by_the_command(tmp_path: Path) -> None:
    """The pair of the short scenario, with one slow node each."""
    document = yaml.safe_load(Path(str(files("chaos.scenarios") / "azure-fnj8-vqz-short.yaml")).read_text("utf-8"))
    document |= {
        "regions": [{**row, "identity_nodes": 1} for row in document["regions"] if row.get("pair")],
        "load": {name: {"token_rate_per_s": 5, "job_rate_per_s": 1} for name in ("eastus", "westus")},
        "settings": {"identity": {"service_time_s": 0.5}},  # a node serves four requests a second
        "warmup_s": 15,
        "duration_s": 1,
        "timeline": [{"id": "N1", "at_s": 0, "do": "note", "observe": "nothing"}],
    }
    for name in ("remediation", "expect", "claims"):
        del document[name]
    path = tmp_path / "overloaded.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert_collapsed_in_warm_up(tmp_path, str(path))


@pytest.mark.long
def test_a_seed_that_collapses_in_its_warm_up_is_reported(tmp_path: Path) -> None:
    assert_collapsed_in_warm_up(tmp_path, "azure-fnj8-vqz", "--size", "0.5", "--perturb", "0.2", "--seed", "9003")
