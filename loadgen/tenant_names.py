"""The names of the shipped tenants, so that settings can check them without importing the journeys."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import yaml

TENANTS_FILE = Path(__file__).with_name("tenants.yaml")


class TenantError(ValueError):
    """An invalid tenant table or selection."""


@lru_cache(maxsize=1)
def shipped_names() -> tuple[str, ...]:
    """Slugs, in table order."""
    rows = yaml.safe_load(TENANTS_FILE.read_text(encoding="utf-8"))["tenants"]
    return tuple(str(row["slug"]) for row in rows)


def choose(wanted: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The wanted names, in the order of `known`.

    Raises:
        TenantError: names the unknown tenants and the known ones.
    """
    known = tuple(known)
    chosen = set(wanted)
    unknown = sorted(chosen - set(known))
    if unknown:
        raise TenantError(f"unknown tenant {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    return tuple(name for name in known if name in chosen)
