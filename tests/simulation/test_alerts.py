"""The alerts of one whole incident: each fires once per region, and Prometheus agrees at every second."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from chaos.experiment.alerts import default_alerts
from chaos.record.record import RunRecord
from tests.incident_rules import spans, write_test

pytestmark = pytest.mark.xdist_group("incident")


def test_every_alert_fires_in_the_incident_and_is_resolved_by_its_end(incident: RunRecord) -> None:
    found = spans(incident)
    assert [rule.name for rule in default_alerts() if not found[rule.name]] == []
    assert [name for name, known in found.items() if any(until > incident.end for _, _, until in known)] == []


def test_an_alert_fires_once_for_each_region(incident: RunRecord) -> None:
    """Failover carries load away and back, and rates dip; none of that is another outage."""
    fired = Counter((name, region) for name, known in spans(incident).items() for region, _, _ in known)
    assert {key: count for key, count in fired.items() if count > 1} == {}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; the system tests have it")
def test_prometheus_fires_the_same_alerts_at_the_same_seconds(incident: RunRecord, tmp_path: Path) -> None:
    command = ["promtool", "test", "rules", str(write_test(incident, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
