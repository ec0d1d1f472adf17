"""The parts of an installed package in processes of their own: the local runtime."""

from pathlib import Path

import pytest

from chaos.record.record import RunRecord
from tests.unit.parts.own_package import assert_parts_worked, exit_codes, install


@pytest.mark.real_time
@pytest.mark.long
@pytest.mark.timeout(300)
def test_retry_fault_and_journey_of_a_package_work_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = install(tmp_path, monkeypatch)
    assert exit_codes(scenario, tmp_path, "--runtime", "local") == (0, 1)
    assert_parts_worked(RunRecord.load(tmp_path / scenario.stem))
