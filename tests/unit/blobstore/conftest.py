"""Fixtures of the blob service's tests."""

import pytest
from blobstore_region import Region

from compose.virtual.world import VirtualWorld


@pytest.fixture
async def region(world: VirtualWorld) -> Region:
    """East US with the incident's accounts, and keys that verify tokens."""
    region = await Region(world).start()
    await region.serve_keys()
    return region
