"""How long base load takes to fill what a lifetime or a ring bounds. Growth before that is no leak."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chaos.controller.monitor import KEPT_S
from compose.topology import LOADGEN
from loadgen.settings import PROFILES, LoadgenSettings
from services.chassis.event_stream import STREAM_LENGTH_MAX
from services.chassis.settings import Tree, resolve
from services.provisioner.settings import ProvisionerSettings

LINES_AN_ARRIVAL = 2.0
"""Event lines that every arrival writes at least: its own, and that of its outcome. Jobs write more."""


class Filling(NamedTuple):
    """State with a bound, and the time that the load takes to fill it."""

    what: str
    takes_s: float

    def __str__(self) -> str:
        return f"{self.what} ({self.takes_s / 60.0:.0f} min)"


class Settling(NamedTuple):
    """How long a testbed takes to settle.

    State with a lifetime empties and fills with the load, so the testbed must be healthy at full load for as long. A
    ring stays full once it is, so the containers must be as old.
    """

    lifetimes: Filling
    rings: Filling

    def __str__(self) -> str:
        rings = f", and as old as it takes to fill {self.rings}" if self.age_s > self.healthy_s else ""
        return f"{self.lifetimes}{rings}; --settle MINUTES changes it"

    @property
    def healthy_s(self) -> float:
        return self.lifetimes.takes_s

    @property
    def age_s(self) -> float:
        return self.rings.takes_s


def settling(tree: Tree, regions: Sequence[str]) -> Settling:
    """What the load of these settings fills the slowest.

    Not considered: caches of the identity nodes, which hold half a megabyte each, and label sets.
    """
    load = resolve(LoadgenSettings, tree, LOADGEN, "")
    retained_s = max(
        resolve(ProvisionerSettings, tree, "provisioner", region).operation_retention_s for region in regions
    )
    lifetimes = Filling(
        "the load's resources and the operations that delete them", load.resource_lifetime_s + retained_s
    )
    return Settling(lifetimes, max(_rings(load), key=lambda one: one.takes_s))


def settled_after(healthy_s: float) -> Settling:
    """The user's own time."""
    return Settling(Filling("the time given with --settle", healthy_s), Filling("nothing", 0.0))


def _rings(load: LoadgenSettings) -> Iterator[Filling]:
    yield Filling("the controller's samples", KEPT_S)
    rate_per_s = PROFILES[load.profile] * sum(rates.total_per_s for rates in load.regions.values())
    if rate_per_s:
        arrivals = load.arrivals_kept_max
        yield Filling(f"the load generator's {arrivals} arrivals", arrivals / rate_per_s)
        yield Filling(
            f"the event stream's {STREAM_LENGTH_MAX} lines", STREAM_LENGTH_MAX / (LINES_AN_ARRIVAL * rate_per_s)
        )
