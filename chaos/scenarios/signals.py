"""The signals of a run about which a scenario can expect something: name, unit, meaning, labels, reductions.

This is the vocabulary. How a signal is measured on a record is in `chaos/verdict/signals.py`; docs/scenarios.md lists
both tables.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

SignalKind = Literal["share", "level", "counter", "events", "quantile"]
Reduction = Literal["mean", "worst", "last", "ever", "count"]
Label = Literal["region", "tenant", "alert"]
MEASURED: tuple[Reduction, ...] = ("mean", "worst", "last", "ever")
REDUCTIONS: dict[SignalKind, tuple[Reduction, ...]] = {
    "share": MEASURED,
    "level": MEASURED,
    "quantile": MEASURED,
    "counter": (*MEASURED, "count"),
    "events": ("count", "ever"),
}
"""The reductions of each kind of signal; the first is the default."""
MEANINGS: dict[Reduction, str] = {
    "mean": "over the whole window: the share of all that happened in it, the time average of a level, the rate of a "
    "counter, the quantile of all journeys that ended in it",
    "worst": "the sample of the window that is furthest on the wrong side: the highest for `at_most` and `below`, the "
    "lowest for `at_least` and `above`",
    "last": "the last sample of the window",
    "ever": "true if one sample of the window meets the comparison; measured is the time of the first one. Events need "
    "no comparison",
    "count": "the number of events, or the increase of a counter",
}
DEFAULT_OVER_S: dict[SignalKind, float] = {
    "share": 10.0,
    "counter": 10.0,
    "quantile": 10.0,
    "level": 0.0,
    "events": 0.0,
}
"""A sample is taken over this many seconds before it, unless the condition gives `over_s`."""


@dataclass(frozen=True)
class SignalSpec:
    """One signal. A share of fewer than three events is no sample."""

    name: str
    kind: SignalKind
    unit: str
    meaning: str
    by: tuple[Label, ...] = ("region",)
    most: float = field(default=math.inf)
    least: float = 0.0
    scales: bool = False
    """Whether it grows with the size of a scenario: a bound in the file is that of size 1."""

    @property
    def reductions(self) -> tuple[Reduction, ...]:
        return REDUCTIONS[self.kind]


def _share(name: str, meaning: str, by: tuple[Label, ...] = ("region",)) -> SignalSpec:
    return SignalSpec(name, "share", "0 … 1", meaning, by, most=1.0)


def _level(name: str, unit: str, meaning: str) -> SignalSpec:
    return SignalSpec(name, "level", unit, meaning, scales=True)


def _counter(name: str, meaning: str, by: tuple[Label, ...] = ("region",)) -> SignalSpec:
    return SignalSpec(name, "counter", "1/s", meaning, by, scales=True)


def _latency(percent: int) -> SignalSpec:
    meaning = f"Journey time from the intended start: {percent} % took at most this long."
    return SignalSpec(f"latency_p{percent}", "quantile", "s", meaning, USERS)


USERS: tuple[Label, ...] = ("region", "tenant")
_TABLE = (
    _share("attempt_success", "Attempts of callers at the identity service that succeeded; retries count."),
    _share("operation_success", "Identity operations that succeeded, after all retries."),
    _share("provisioning_success", "Attempts at provisioning jobs that completed the job."),
    _share("provisioning_blocked", "Attempts at provisioning jobs that a storage account refused."),
    _share("journey_success", "Journeys of tenants that ended well.", USERS),
    _share("configuration_success", "Reads of its configuration by a starting identity node that succeeded."),
    _share("wasted_share", "Work of the identity nodes that was finished after its caller had timed out."),
    SignalSpec("amplification", "share", "×", "Attempts per identity operation started; 1 without retries."),
    SignalSpec("saturation", "level", "0 … 1", "Busy workers of the identity nodes that are up.", most=1.0),
    _level("backlog", "jobs", "Provisioning jobs that are queued or blocked."),
    _level("queue_length", "requests", "Requests in the queues of the identity nodes."),
    _level("nodes", "nodes", "Identity nodes that exist, up or not."),
    _level("nodes_up", "nodes", "Identity nodes that are up."),
    SignalSpec("private_accounts", "level", "accounts", "Accounts that must be public, and are private."),
    _counter("attempts", "Attempts of callers at the identity service, retries included."),
    _counter("operations", "Identity operations started."),
    _counter("failed_operations", "Identity operations that failed after all retries."),
    _counter("journeys", "Journeys that tenants began.", USERS),
    _counter("failed_journeys", "Journeys that ended badly or were abandoned.", USERS),
    SignalSpec("alerts", "events", "alerts", "Alerts that began to fire.", ("region", "alert")),
    SignalSpec("crashes", "events", "crashes", "Crashes of identity nodes.", scales=True),
    *map(_latency, (50, 95, 99)),
)
SIGNALS: dict[str, SignalSpec] = {signal.name: signal for signal in _TABLE}
ALERTS = (
    "ControlPlaneFailures",
    "MultiRegionControlPlaneFailures",
    "FailureRateThreshold",
    "ManagedIdentityAvailabilityBurn",
    "RetryStorm",
    "MetastableOverload",
    "ProvisioningBacklogAge",
    "ExtensionDownloadFailures",
    "RemediationWrongTarget",
)
"""The alerts of chaos/experiment/alerts.yaml."""
