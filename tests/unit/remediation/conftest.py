"""Fixtures of the policy job's tests."""

import pytest

from compose.virtual.world import VirtualWorld
from tests.unit.remediation.storage_provider import Bench


@pytest.fixture
async def bench(world: VirtualWorld) -> Bench:
    bench = Bench(world)
    await bench.serve()
    return bench
