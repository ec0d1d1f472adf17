"""The alerts over one whole incident: each fires, once for a thing, and Prometheus says the same at every second."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from incident_rules import spans, write_test

from chaos.experiment.alerts import default_alerts
from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load

SHORT = "azure-fnj8-vqz-short"
pytestmark = pytest.mark.xdist_group("alerts of the incident")


@pytest.fixture(scope="module")
def record() -> RunRecord:
    finished = carry_out(make_plan(load(SHORT), 1), transport="direct")
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)


def test_every_alert_fires_in_the_incident_and_is_over_at_its_end(record: RunRecord) -> None:
    found = spans(record)
    assert [rule.name for rule in default_alerts() if not found[rule.name]] == []
    assert [name for name, known in found.items() if any(until > record.end for _, _, until in known)] == []


def test_an_alert_fires_once_for_a_thing(record: RunRecord) -> None:
    """Failover carries load away and back, and rates dip; none of that is another outage."""
    fired = Counter((name, region) for name, known in spans(record).items() for region, _, _ in known)
    assert {key: count for key, count in fired.items() if count > 1} == {}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; the system tests have it")
def test_prometheus_fires_the_same_alerts_at_the_same_seconds(record: RunRecord, tmp_path: Path) -> None:
    command = ["promtool", "test", "rules", write_test(record, tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
