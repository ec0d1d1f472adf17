"""Fixtures of the load generator's tests."""

import pytest

from compose.virtual.world import VirtualWorld
from tests.unit.loadgen.loadgen_cloud import Cloud


@pytest.fixture
async def cloud(world: VirtualWorld) -> Cloud:
    """One region, `eastus`."""
    cloud = Cloud(world, ("eastus",))
    await cloud.serve()
    return cloud


@pytest.fixture
async def two_regions(world: VirtualWorld) -> Cloud:
    cloud = Cloud(world, ("eastus", "westus"))
    await cloud.serve()
    return cloud
