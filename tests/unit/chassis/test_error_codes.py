"""Codes and statuses of every service's errors."""

from types import ModuleType

import pytest

import chaos.controller.errors
import services.blobstore.errors
import services.identity.errors
import services.provisioner.errors
import services.router.errors
from services.chassis.errors import ErrorSpec

MODULES = [
    chaos.controller.errors,
    services.blobstore.errors,
    services.identity.errors,
    services.provisioner.errors,
    services.router.errors,
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_two_errors_of_one_format_share_code_and_status(module: ModuleType) -> None:
    """A caller tells errors apart by these two. Blob storage and ARM are two formats of one service."""
    rows = [
        (name.startswith("ARM_"), row.code, row.status)
        for name, row in vars(module).items()
        if isinstance(row, ErrorSpec)
    ]
    assert len(rows) >= 2
    assert len(set(rows)) == len(rows)
