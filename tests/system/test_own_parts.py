"""The parts of an installed package in the containers of the testbed, by the bind mount of docs/extending."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.record.record import RunRecord
from tests.system.system_testbed import PROJECT, Stack
from tests.unit.parts.own_package import assert_parts_worked, exit_codes, install

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(900)]
NAMES = "acme_parts.parts:Once,acme_parts.parts:EveryThird,acme_parts.parts:Checkout"


@pytest.fixture
def scenario(testbed: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The scenario beside the package, which every container has mounted. The testbed is then as it was."""
    made = install(tmp_path, monkeypatch)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    before = dict(testbed.environment)
    files = f"{before['COMPOSE_FILE']}:compose/docker-compose.parts.yaml"
    testbed.environment |= {"COMPOSE_FILE": files, "PARTS": str(tmp_path), "AFTERSHOCK_PARTS": NAMES}
    try:
        testbed.up()
        yield made
    finally:
        testbed.environment = before
        testbed.up()


def test_retry_fault_and_journey_of_a_package_work_in_every_container(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", PROJECT)
    assert exit_codes(scenario, tmp_path, "--runtime", "compose") == (0, 1)
    assert_parts_worked(RunRecord.load(tmp_path / scenario.stem))
