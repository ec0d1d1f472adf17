"""What the policy job knows of the accounts: a replica of exemption records, and the targets that follow from it.

The replica is fed by telemetry and forgets what is not renewed. That is the incident's defect: when the feed of an
account falls silent its record expires, and *no record* reads exactly like *not exempt*.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chaos.remediation.settings import InventorySettings


@dataclass(frozen=True, slots=True)
class InventoryAccount:
    """A storage account as the resource provider reports it. `exempt` is its own tag: public on purpose."""

    name: str
    region: str
    public: bool
    exempt: bool
    resource_id: str


@dataclass(frozen=True, slots=True)
class ExemptionRecord:
    """One exemption decision as the replica last heard it."""

    account: str
    exempt: bool
    heard_at_s: float


@dataclass(frozen=True)
class Snapshot:
    """The replica at one moment. `age_s` is the age of the oldest word heard from any feed."""

    age_s: float
    records: Mapping[str, ExemptionRecord]
    exemptions_missing: int

    def exempt(self, account: str) -> bool:
        """Whether the account may stay public; without a record the answer is no."""
        record = self.records.get(account)
        return record is not None and record.exempt


class Inventory:
    """The exemption records of all accounts, as their telemetry feeds deliver them.

    Lost feeds fell silent `silent_s` before the first snapshot; that moment does not move, so the replica does not
    heal by itself.
    """

    def __init__(self) -> None:
        self._truth: dict[str, InventoryAccount] = {}
        self._first_s: float | None = None

    def learn(self, accounts: Iterable[InventoryAccount]) -> None:
        """Takes in what the accounts' own telemetry says now."""
        self._truth.update((account.name, account) for account in accounts)

    def snapshot(self, settings: InventorySettings, now_s: float) -> Snapshot:
        """The replica as the job sees it at `now_s`."""
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
    """The accounts the policy wants changed: public and, as far as the snapshot knows, not exempt."""
    return tuple(account for account in accounts if account.public and not snapshot.exempt(account.name))


def contradiction(snapshot: Snapshot, accounts: Iterable[InventoryAccount]) -> str:
    """Why this snapshot must not be applied to these accounts; empty when nothing speaks against it.

    The repaired job's validation: every account must have a record, and no target may carry the exempt tag itself.
    """
    listed = tuple(accounts)
    if not listed:
        return "no account could be listed"
    unknown = [account.name for account in listed if account.name not in snapshot.records]
    if unknown:
        return f"no record of {len(unknown)} of {len(listed)} accounts, e.g. {unknown[0]}"
    tagged = [account.name for account in targets(snapshot, listed) if account.exempt]
    if tagged:
        return f"{len(tagged)} targets carry the exempt tag, e.g. {tagged[0]}"
    return ""
