"""The policy job's inventory of accounts: a replica of exemption records, and the targets derived from it.

The replica is fed by telemetry and drops records that are not renewed. That is the defect of the incident: when the
feed of an account is lost, its record expires, and a missing record is treated as *not exempt*.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chaos.remediation.settings import InventorySettings


@dataclass(frozen=True, slots=True)
class InventoryAccount:
    """A storage account as reported by the resource provider. `exempt` is its tag for intentionally public accounts."""

    name: str
    region: str
    public: bool
    exempt: bool
    resource_id: str


@dataclass(frozen=True, slots=True)
class ExemptionRecord:
    """The last exemption record of an account in the replica."""

    account: str
    exempt: bool
    heard_at_s: float


@dataclass(frozen=True)
class Snapshot:
    """The replica at one time. `age_s` is the age of the oldest last report of any feed, in seconds."""

    age_s: float
    records: Mapping[str, ExemptionRecord]
    exemptions_missing: int

    def exempt(self, account: str) -> bool:
        """Whether the account may stay public; False without a record."""
        record = self.records.get(account)
        return record is not None and record.exempt


class Inventory:
    """The exemption records of all accounts, as delivered by their telemetry feeds.

    Lost feeds stopped `silent_s` before the first snapshot. That time is fixed, so the replica does not recover by
    itself.
    """

    def __init__(self) -> None:
        self._truth: dict[str, InventoryAccount] = {}
        self._first_s: float | None = None

    def learn(self, accounts: Iterable[InventoryAccount]) -> None:
        """Updates the accounts from their current state."""
        self._truth.update((account.name, account) for account in accounts)

    def snapshot(self, settings: InventorySettings, now_s: float) -> Snapshot:
        """The replica at `now_s`."""
        if self._first_s is None:
            self._first_s = now_s
        lost_at_s = self._first_s - settings.silent_s
        records: dict[str, ExemptionRecord] = {}
        missing, oldest_s = 0, now_s
        for name, account in sorted(self._truth.items()):
            heard_at_s = lost_at_s if _feed_lost(name, settings) else now_s
            oldest_s = min(oldest_s, heard_at_s)
            if now_s - heard_at_s <= settings.retention_s:
                records[name] = ExemptionRecord(name, account.exempt, heard_at_s)
            elif account.exempt:
                missing += 1
        return Snapshot(now_s - oldest_s, records, missing)


def _feed_lost(name: str, settings: InventorySettings) -> bool:
    return settings.defect == "missing_exemptions" and any(fnmatchcase(name, glob) for glob in settings.lost_feeds)


def targets(snapshot: Snapshot, accounts: Iterable[InventoryAccount]) -> tuple[InventoryAccount, ...]:
    """The accounts to be changed by the policy: public, and not exempt according to the snapshot."""
    return tuple(account for account in accounts if account.public and not snapshot.exempt(account.name))


def contradiction(snapshot: Snapshot, accounts: Iterable[InventoryAccount]) -> str:
    """The reason why this snapshot must not be applied to these accounts; empty if there is none.

    The validation of the repaired job: every account must have a record, and no target may have the exempt tag.
    """
    listed = tuple(accounts)
    if not listed:
        return "no account could be listed"
    unknown = [account.name for account in listed if account.name not in snapshot.records]
    if unknown:
        return f"no record for {len(unknown)} of {len(listed)} accounts, e.g. {unknown[0]}"
    tagged = [account.name for account in targets(snapshot, listed) if account.exempt]
    if tagged:
        return f"{len(tagged)} targets have the exempt tag, e.g. {tagged[0]}"
    return ""
