"""Regions and instances of the testbed, and the application factory of each service."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module

from aiohttp import web

from services.chassis.env import Env
from services.chassis.settings import Tree, merge

CreateApp = Callable[[Env], web.Application]

PORT = 8080
REGIONAL = ("blobstore", "router", "provisioner")
SCALABLE = "identity"
LOADGEN = "loadgen"
NODES_MAX = {"virtual": 1000, "local": 48, "compose": 48}
"""Limit of identity nodes by runtime. A node needs 80 MB as a process."""
MODULES = {
    "blobstore": "services.blobstore",
    "provisioner": "services.provisioner",
    "identity": "services.identity",
    "router": "services.router",
    LOADGEN: "loadgen",
}


@dataclass(frozen=True, slots=True)
class RegionSpec:
    """A region of the testbed. `role` is its role in the scenario, e.g. `canary` or `control`."""

    name: str
    display: str
    pair: str | None = None
    role: str = ""
    identity_nodes: int = 2


@dataclass(frozen=True, slots=True, order=True)
class InstanceSpec:
    """One instance to start. Names are unique and serve as host names."""

    service: str
    region: str
    name: str

    @property
    def module(self) -> str:
        return MODULES[self.service]


@dataclass(frozen=True)
class Topology:
    """The regions, and the instances in them at the start."""

    regions: tuple[RegionSpec, ...]
    loadgen: bool = True
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(region.name for region in self.regions))

    def instances(self) -> list[InstanceSpec]:
        """In start order: callees before their callers."""
        specs = [regional(service, region.name) for service in REGIONAL[:1] for region in self.regions]
        for region in self.regions:
            specs += [node(region.name, number) for number in range(1, region.identity_nodes + 1)]
        specs += [regional(service, region.name) for service in REGIONAL[1:] for region in self.regions]
        if self.loadgen:
            specs.append(InstanceSpec(LOADGEN, "", LOADGEN))
        return specs

    def settings(self, tree: Tree) -> Tree:
        """`tree` merged over the settings the topology implies: each router's pair, and warm initial identity nodes."""
        pairs: Tree = {region.name: {"router": {"pair": region.pair}} for region in self.regions if region.pair}
        first = [spec.name for spec in self.instances() if spec.service == SCALABLE]
        warm: Tree = {name: {SCALABLE: {"warm_at_start": True}} for name in first}
        return merge({"regions": pairs, "instances": warm}, tree)


SMALL = Topology((RegionSpec("eastus", "East US", "westus"), RegionSpec("westus", "West US", "eastus")))
"""Two regions that fail over to each other: enough for the small worlds of studies, and for generated pages."""


def regional(service: str, region: str) -> InstanceSpec:
    return InstanceSpec(service, region, f"{service}-{region}")


def node(region: str, number: int) -> InstanceSpec:
    return InstanceSpec(SCALABLE, region, f"{SCALABLE}-{region}-{number}")


def next_nodes(existing: Iterable[InstanceSpec], region: str, count: int) -> list[InstanceSpec]:
    """`count` new identity nodes of `region`, numbered after the highest that exists."""
    numbers = [
        int(spec.name.rsplit("-", 1)[1]) for spec in existing if spec.service == SCALABLE and spec.region == region
    ]
    first = max(numbers, default=0) + 1
    return [node(region, number) for number in range(first, first + count)]


def newest_nodes(existing: Iterable[InstanceSpec], region: str, count: int) -> list[InstanceSpec]:
    """The `count` newest identity nodes of `region`; `existing` is in start order."""
    nodes = [spec for spec in existing if spec.service == SCALABLE and spec.region == region]
    return nodes[len(nodes) - count :] if count else []


def app_factory(service: str) -> CreateApp:
    """`create_app` of a service, imported on request."""
    create: CreateApp = import_module(f"{MODULES[service]}.app").create_app
    return create
