"""The rules of the alerts over a whole incident in Prometheus' own test tool, from the image the testbed runs."""

import subprocess
from pathlib import Path

import pytest

from tests.incident_rules import write_test
from tests.system.system_incident import virtual_run
from tests.system.system_testbed import Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_promtool_sees_the_alerts_of_the_incident_at_the_same_seconds(testbed: Stack, tmp_path: Path) -> None:
    image = testbed.inspect("prometheus", "{{.Config.Image}}")
    write_test(virtual_run(1).record, tmp_path)
    tmp_path.chmod(0o755)
    command = ["docker", "run", "--rm", "--volume", f"{tmp_path}:/rules:ro", "--entrypoint", "/bin/promtool", image]
    done = subprocess.run(
        [*command, "test", "rules", "/rules/incident.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
