"""Outlier ejection: stop sending to a host that keeps failing, but never to too many.

    eject    after 5 failures in a row, unless (ejected + 1)/hosts would pass 10 % (one host may always be ejected)
    for      min(30 s * n, 300 s), n = ejections so far, less one per 10 s of being back in service
    panic    when fewer than 50 % of hosts are in service, ignore all of this and use every host

Source: Envoy outlier_detection_impl.cc and outlier.rst, panic_threshold.rst (https://www.envoyproxy.io/docs).

Caveats:
* "One host may always" was Envoy's rule when this was written down; today it is `always_eject_one_host`, off by
  default, and 10 % of fewer than 10 hosts then means none. The bench has 4 hosts per region, so it is on here.
* Panic is harmful in the incident: when most hosts are unhealthy, the unhealthy ones get all the traffic again.
* Ejection ends exactly on time, not at Envoy's next 10 s sweep.
"""

from collections.abc import Iterable

from pydantic import Field

from services.policies.outcome import AttemptOutcome
from services.policies.settings import PolicySettings


class OutlierSettings(PolicySettings):
    """When a host is ejected, and for how long."""

    enabled: bool = False
    """If False, all hosts are always used."""
    consecutive_failures: int = Field(default=5, ge=1)
    """Ejects after this many consecutive failures."""
    base_s: float = Field(default=30.0, gt=0)
    """First ejection; the nth lasts n times as long."""
    max_s: float = Field(default=300.0, gt=0)
    """Longest ejection."""
    ejected_share_max: float = Field(default=0.10, ge=0, le=1)
    """Largest share of ejected hosts."""
    always_one: bool = True
    """One host may always be ejected, even above that share."""
    panic_share: float = Field(default=0.50, ge=0, le=1)
    """With a smaller share of hosts in service, use all; 0: never panic."""
    forgive_s: float = Field(default=10.0, gt=0)
    """Each such period in service reduces n by one."""

    ORDER = (("base_s", "<=", "max_s"),)


class _Host:
    __slots__ = ("back_at", "ejected", "failures", "since", "times")

    def __init__(self) -> None:
        self.failures = 0
        self.times = 0
        self.ejected = False
        self.back_at = 0.0
        self.since = float("-inf")


class OutlierDetector:
    """Tracks which hosts of a set are usable."""

    __slots__ = ("_available", "_ejected", "_hosts", "_next_back", "settings")

    def __init__(self, hosts: Iterable[str] = (), settings: OutlierSettings | None = None) -> None:
        self.settings = settings or OutlierSettings()
        self._hosts: dict[str, _Host] = {}
        self._ejected = 0
        self._next_back = float("inf")
        self._available: tuple[str, ...] = ()
        self.set_hosts(hosts)

    def set_hosts(self, hosts: Iterable[str]) -> None:
        """Sets the current hosts, in the order that `available` returns; known hosts keep their state."""
        self._hosts = {name: self._hosts.get(name) or _Host() for name in hosts}
        self._refresh()

    def available(self, now: float) -> tuple[str, ...]:
        """The usable hosts; all hosts in panic."""
        if now >= self._next_back:
            for host in self._hosts.values():
                if host.ejected and now >= host.back_at:
                    host.ejected = False
                    host.failures = 0
                    host.since = host.back_at
            self._refresh()
        return self._available

    def on_outcome(self, name: str, outcome: AttemptOutcome, now: float, began: float | None = None) -> None:
        """`began`: when the request was sent. Requests sent before the host came back are ignored."""
        host = self._hosts.get(name)
        if host is None or not self.settings.enabled or outcome is AttemptOutcome.IGNORED:
            return
        self.available(now)
        if began is not None and began < host.since:
            return
        if outcome is AttemptOutcome.SUCCESS:
            host.failures = 0
            return
        host.failures += 1
        if host.failures >= self.settings.consecutive_failures and not host.ejected:
            host.failures = 0
            self._eject(host, now)

    def in_panic(self) -> bool:
        count = len(self._hosts)
        return (count - self._ejected) < self.settings.panic_share * count

    def _eject(self, host: _Host, now: float) -> None:
        settings = self.settings
        if (self._ejected + 1) > settings.ejected_share_max * len(self._hosts) and not (
            settings.always_one and self._ejected == 0
        ):
            return
        if host.times:
            host.times = max(0, host.times - int((now - host.back_at) / settings.forgive_s))
        if host.times * settings.base_s < settings.max_s + settings.base_s:
            host.times += 1
        host.ejected = True
        host.back_at = now + min(settings.base_s * host.times, settings.max_s)
        self._refresh()

    def _refresh(self) -> None:
        ejected = [host for host in self._hosts.values() if host.ejected]
        self._ejected = len(ejected)
        self._next_back = min((host.back_at for host in ejected), default=float("inf"))
        panic = self.in_panic()
        self._available = tuple(name for name, host in self._hosts.items() if panic or not host.ejected)

    def __repr__(self) -> str:
        if not self.settings.enabled:
            return f"<OutlierDetector off, {len(self._hosts)} hosts>"
        return f"<OutlierDetector {self._ejected}/{len(self._hosts)} ejected{', panic' if self.in_panic() else ''}>"
