"""Failover: the share of a region's traffic that goes to its paired region, by success ratios.

    share(home) = min(1, 1.4 * h_home / min(1, 1.4 * h_home + 1.4 * h_alt));   all home when the sum is <= 0.02

h is the success ratio of requests routed to a region in the last 10 s; a region with fewer than 5 samples counts as
healthy (1.0). This is Envoy's priority load with the success ratio in the place of the healthy-host share: 1.4 is its
overprovisioning factor, so nothing moves until a region is below 1/1.4 = 71 % (50 % healthy: 70/30, 25 %: 35/65).

Source: Envoy, arch_overview/upstream/load_balancing/priority.rst (https://www.envoyproxy.io/docs); docs/model.md
§2. Defaults: window 10 s, 5 samples, factor 1.4, no cap, retries follow the shares.

Caveats:
* Envoy's documentation assumes that a healthy second priority can carry the whole first one. In the incident it could
  not: this formula is what carries a saturated region's retries into its healthy neighbour.
* When both regions are (nearly) down all traffic stays home. Real balancers also send anyway when all are unhealthy.
* A random number is drawn only when there is a choice: a healthy region draws none.
"""

from random import Random
from typing import ClassVar, Protocol

from pydantic import Field

from services.parts.kind import PartError, PartKind
from services.policies.outcome import AttemptOutcome
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings
from services.policies.window import SlidingCounts

OVERPROVISIONING = 1.4
HOPELESS_SUM = 0.02


def home_share(health_home: float, health_alt: float, overprovisioning: float = OVERPROVISIONING) -> float:
    """Share of traffic that stays home, 0..1."""
    weighted_home = overprovisioning * health_home
    weighted_sum = weighted_home + overprovisioning * health_alt
    if weighted_sum <= HOPELESS_SUM:
        return 1.0
    return min(1.0, weighted_home / min(1.0, weighted_sum))


class RegionHealth:
    """Success ratio of one region over a sliding window."""

    __slots__ = ("_counts", "samples_min")

    def __init__(self, window_s: float = 10.0, samples_min: int = 5) -> None:
        self._counts = SlidingCounts(window_s)
        self.samples_min = samples_min

    def on_outcome(self, outcome: AttemptOutcome, now: float) -> None:
        if outcome is AttemptOutcome.SUCCESS:
            self._counts.add(now, 1.0, 1.0)
        elif outcome is AttemptOutcome.DROPPED:
            self._counts.add(now, 1.0, 0.0)

    def ratio(self, now: float) -> float:
        """Success ratio, 0..1; 1.0 while there are too few samples."""
        total = self._counts.total(now)
        return self._counts.good(now) / total if total >= self.samples_min else 1.0

    def samples(self, now: float) -> int:
        return int(self._counts.total(now))

    def __repr__(self) -> str:
        return f"<RegionHealth {self._counts!r}>"


class RegionChoice(Protocol):
    """Chooses the region of each request of one home region. Its constructor gets `home` and `alternate`.

    The router does not ask while an operator has drained or ramps one of the two.
    """

    def route(self, now: float, rng: Random, *, is_retry: bool = False) -> str:
        """`home` or `alternate`. `now` is in seconds; `rng` is the only source of chance."""

    def on_outcome(self, region: str, outcome: AttemptOutcome, now: float) -> None:
        """A request that was routed to `region` ended."""


FAILOVER = PartKind("failover", RegionChoice)


class FailoverSettings(PolicySettings, Replaceable):
    """How a router splits traffic between its own region and the paired one. The defaults are the naive router."""

    KIND: ClassVar[PartKind] = FAILOVER
    GIVEN: ClassVar[tuple[str, ...]] = ("home", "alternate")

    enabled: bool = True
    """If False, all traffic stays home."""
    window_s: float = Field(default=10.0, gt=0)
    """Window of the success ratios."""
    samples_min: int = Field(default=5, ge=1)
    """A region with fewer samples in the window counts as healthy."""
    overprovisioning: float = Field(default=OVERPROVISIONING, ge=1)
    """Overprovisioning factor: traffic moves when a region's health falls below 1 / this."""
    alternate_share_max: float = Field(default=1.0, ge=0, le=1)
    """Largest share sent to the paired region; the defended profile has 0.2."""
    retries_stay_home: bool = False
    """Isolation: retries never go to the paired region, so amplified traffic stays in its region."""

    def build(self, home: str, alternate: str) -> "Failover":
        own: RegionChoice | None = self.own(home, alternate)
        return Failover(home, alternate, self) if own is None else OwnFailover(home, alternate, self, own)


class Failover:
    """Chooses the region of each request of one home region."""

    __slots__ = ("alternate", "health_alternate", "health_home", "home", "settings")

    def __init__(self, home: str, alternate: str, settings: FailoverSettings | None = None) -> None:
        self.settings = settings = settings or FailoverSettings()
        self.home = home
        self.alternate = alternate
        self.health_home = RegionHealth(settings.window_s, settings.samples_min)
        self.health_alternate = RegionHealth(settings.window_s, settings.samples_min)

    def on_outcome(self, region: str, outcome: AttemptOutcome, now: float) -> None:
        """Records the outcome of a request that was routed to `region`."""
        health = self.health_home if region == self.home else self.health_alternate
        health.on_outcome(outcome, now)

    def share_home(self, now: float) -> float:
        """Current share of first attempts that stay home."""
        settings = self.settings
        if not settings.enabled:
            return 1.0
        health_home = self.health_home.ratio(now)
        if health_home * settings.overprovisioning >= 1.0:
            return 1.0
        share = home_share(health_home, self.health_alternate.ratio(now), settings.overprovisioning)
        return max(share, 1.0 - settings.alternate_share_max)

    def route(self, now: float, rng: Random, *, is_retry: bool = False) -> str:
        """The region this request goes to."""
        if is_retry and self.settings.retries_stay_home:
            return self.home
        share = self.share_home(now)
        if share >= 1.0 or rng.random() < share:
            return self.home
        return self.alternate

    def __repr__(self) -> str:
        if not self.settings.enabled:
            return f"<Failover off, all to {self.home}>"
        return f"<Failover {self.home} {self.health_home!r}, {self.alternate} {self.health_alternate!r}>"


class OwnFailover(Failover):
    """A user's choice of regions, held to the two that exist. The share that stays home is measured."""

    __slots__ = ("_choice", "_first_attempts")

    def __init__(self, home: str, alternate: str, settings: FailoverSettings, choice: RegionChoice) -> None:
        super().__init__(home, alternate, settings)
        self._choice = choice
        self._first_attempts = SlidingCounts(settings.window_s, buckets=10)

    def on_outcome(self, region: str, outcome: AttemptOutcome, now: float) -> None:
        super().on_outcome(region, outcome, now)
        self._choice.on_outcome(region, outcome, now)

    def share_home(self, now: float) -> float:
        total = self._first_attempts.total(now)
        return self._first_attempts.good(now) / total if total else 1.0

    def route(self, now: float, rng: Random, *, is_retry: bool = False) -> str:
        region = self._choice.route(now, rng, is_retry=is_retry)
        if region not in (self.home, self.alternate):
            raise PartError(f"{self.settings.part}: routes to {region!r}; should be {self.home} or {self.alternate}")
        if not is_retry:
            self._first_attempts.add(now, 1.0, float(region == self.home))
        return region

    def __repr__(self) -> str:
        return f"<OwnFailover {self.settings.part}>"
