"""One recorded run for the tests of this folder; they are of one group (`SMALL_RUN`), so one worker makes it once."""

import pytest

from chaos.export.tables import ExportedRun
from tests.unit.export.small_run import recorded


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> ExportedRun:
    return recorded(tmp_path_factory.mktemp("small") / "run")
