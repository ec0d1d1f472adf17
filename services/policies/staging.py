"""Staged re-enablement (X1): the order and the spacing in which accounts are restored.

    the nth account is restored at start + n * spacing;  order: as listed, high-volume last, or high-volume first

Sources: PIR FNJ8-VQZ, 00:08 (restoring the high-volume extension accounts of East US released the blocked work of six
hours at once), and as its opposite, AWS Builders' Library, avoiding-insurmountable-queue-backlogs. Default: as listed,
spacing 0, which is the incident and the off switch.

Caveats: spacing alone helps only if an account's backlog fits the capacity of its identity region; work that is
blocked by several accounts is released by the last of them. High-volume last gives the other accounts time but makes
the last step the largest: pace the resumed jobs as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RestoreOrder = Literal["as_listed", "high_volume_last", "high_volume_first"]


@dataclass(frozen=True, slots=True)
class StagedAccount:
    """An account to restore."""

    name: str
    """Storage account name."""
    volume: float
    """Requests per second that depend on it, or its blocked jobs; the same measure for all accounts."""


@dataclass(frozen=True, slots=True)
class StagedRestore:
    """One step of the plan."""

    at: float
    """Bench seconds."""
    account: StagedAccount


def plan_restores(
    accounts: Sequence[StagedAccount], start: float, *, order: RestoreOrder = "as_listed", spacing_s: float = 0.0
) -> tuple[StagedRestore, ...]:
    """Every account exactly once, in time order. Accounts of equal volume keep their listed order."""
    if spacing_s < 0:
        raise ValueError(f"spacing_s must not be negative, not {spacing_s}")
    ordered = list(accounts)
    if order != "as_listed":
        ordered.sort(key=lambda account: account.volume, reverse=order == "high_volume_first")
    return tuple(StagedRestore(start + index * spacing_s, account) for index, account in enumerate(ordered))
