"""Fixtures of the blob service's tests."""

import pytest

from compose.virtual.world import VirtualWorld
from tests.unit.blobstore.blobstore_region import Region


@pytest.fixture
async def region(world: VirtualWorld) -> Region:
    """East US with the incident's accounts, and keys that verify tokens."""
    region = await Region(world).start()
    await region.serve_keys()
    return region
