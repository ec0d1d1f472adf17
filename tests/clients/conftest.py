"""One testbed of real processes for all client tests, on one worker of pytest-xdist."""

import gc
from collections.abc import Iterator

import pytest

from tests.clients.client_bench import Bench
from tests.clients.forked import ForkedChild


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/clients/" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group("clients"))
            # the packages leave connections to the garbage collector
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="package")  # not for the session: its ten processes would run beside all later tests
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compose.local.Child", ForkedChild)
        made = Bench(tmp_path_factory.mktemp("testbed"))
        made.start()
        yield made
        made.stop()
    gc.collect()  # here, where such connections fail no test
