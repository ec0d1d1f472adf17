"""Fixtures of the policy job's tests."""

import pytest
from storage_provider import Bench

from compose.virtual.world import VirtualWorld


@pytest.fixture
async def bench(world: VirtualWorld) -> Bench:
    bench = Bench(world)
    await bench.serve()
    return bench
