"""The size of a scenario: which of its quantities are multiplied by it, and which are not.

A scenario file gives the values of size 1, the parameter set of docs/model.md §2. At size 2 there is twice the load on
twice the nodes; a node, a caller and a time are what they were. `SCALED` and `KEPT` are the one table of this, which
docs/scenarios.md shows too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chaos.scenarios.actions import ScaleIdentity
from chaos.scenarios.document import Loc, ScenarioIssue
from chaos.scenarios.model import Entry, Scenario
from loadgen.settings import LoadgenSettings
from services.chassis.settings import SettingPath, Settings, Tree, merge, setting_at
from services.clients.identity.client import IdentityClientSettings
from services.provisioner.settings import ProvisionerSettings
from services.router.settings import RouterSettings

Scaling = Literal["×", "÷", "× above 1"]
SCOPES = ("regions", "instances")


@dataclass(frozen=True)
class ScaledQuantity:
    """What is multiplied by the size, divided by it, or multiplied only above size 1 (a limit nothing should meet)."""

    what: str
    fields: tuple[str, ...]
    scaling: Scaling
    why: str


@dataclass(frozen=True)
class KeptQuantity:
    """What is the same at every size. A field that ends in `.` stands for all below it."""

    what: str
    fields: tuple[str, ...]
    why: str


NODES = "regions.*.identity_nodes"
RATES = ("load.*.token_rate_per_s", "load.*.job_rate_per_s")
ADDED = "timeline.*.scale_identity.nodes"

SCALED = (
    ScaledQuantity("nodes of the identity service", (NODES,), "×", "capacity in proportion to load"),
    ScaledQuantity("nodes of a scale-out", (ADDED,), "×", "the same share of the fleet"),
    ScaledQuantity("load", RATES, "×", "twice the users send twice the requests"),
    ScaledQuantity("jobs in progress", ("provisioner.slots",), "×", "the requests released at once per node stay"),
    ScaledQuantity(
        "release of blocked jobs",
        ("provisioner.resume_rate_per_s",),
        "×",
        "the backlog is twice as long, and so is the capacity that takes it",
    ),
    ScaledQuantity(
        "retry budget of a region",
        ("identity_client.guard.budget.retries_per_s_min", "identity_client.guard.budget.capacity"),
        "×",
        "its reserve belongs to all callers of a region together",
    ),
    ScaledQuantity(
        "throttle of the control plane",
        tuple(
            f"provisioner.throttle_{kind}_{part}"
            for kind in ("reads", "writes", "deletes")
            for part in ("per_s", "burst")
        ),
        "×",
        "it limits a region",
    ),
    ScaledQuantity(
        "admission of a region",
        ("router.admission.rps_min", "router.ramp_reserve", "router.tenant_nodes"),
        "×",
        "rates, tokens and nodes of a whole region",
    ),
    ScaledQuantity(
        "machines and identities of a tenant",
        (
            "loadgen.warm_runners",
            "loadgen.ready_machines",
            "loadgen.machines_max",
            "loadgen.identities_max",
            "identity_client.cache.callers",
        ),
        "×",
        "the same number of uses for each",
    ),
    ScaledQuantity("time between the first provisionings", ("loadgen.setup_interval_s",), "÷", "the warm-up stays"),
    ScaledQuantity(
        "limits against overflow",
        (
            "loadgen.rate_max_per_s",
            "loadgen.in_flight_max",
            "loadgen.arrivals_kept_max",
            "provisioner.jobs_max",
            "provisioner.resources_max",
            "provisioner.operations_max",
        ),
        "× above 1",
        "a run should not meet them at any size",
    ),
)
KEPT = (
    KeptQuantity("one node", ("identity.", "router.node_rate_per_s"), "there are more nodes, not larger ones"),
    KeptQuantity(
        "one caller",
        (
            "identity_client.timeout_s",
            "identity_client.sdk.",
            "identity_client.workflow.",
            "loadgen.sdk.",
            "loadgen.workflow.",
            "provisioner.identity_calls",
            "provisioner.extension_tokens",
            "provisioner.max_tries",
        ),
        "there are more callers, not busier ones",
    ),
    KeptQuantity(
        "fewest samples of a decision",
        (
            "router.failover.samples_min",
            "router.outlier.consecutive_failures",
            "identity_client.guard.breaker.samples_min",
            "identity_client.guard.breaker.consecutive_failures",
            "identity_client.guard.breaker.trials",
            "remediation.gate.samples_min",
        ),
        "they bound the error of a ratio, which has no size",
    ),
    KeptQuantity(
        "regions, tenants, storage accounts and who changes them",
        (
            "blobstore.",
            "remediation.parallel",
            "remediation.resource_count",
            "provisioner.list_page_size",
            "provisioner.retry_after_s",
        ),
        "there are as many of them at every size",
    ),
    KeptQuantity("traces that are kept", ("tracing.",), "the file has a bound of its own"),
)
"""Times, shares and factors (`_s`, `_ratio`, `multiplier` …) are kept too; they need no entry."""
MODELS: Mapping[str, type[Settings]] = {
    "identity_client": IdentityClientSettings,
    "loadgen": LoadgenSettings,
    "provisioner": ProvisionerSettings,
    "router": RouterSettings,
}
NOT_SETTINGS = {NODES, ADDED, *RATES}
_SETTINGS: tuple[tuple[SettingPath, Scaling], ...] = tuple(
    (tuple(field.split(".")), one.scaling) for one in SCALED for field in one.fields if field not in NOT_SETTINGS
)


def sized(scenario: Scenario, size: float) -> Scenario:
    """The scenario, whose values are those of size 1, at this size. `size_issues` says whether it exists."""
    if size == 1.0:
        return scenario.model_copy(update={"size": size})
    nodes = {region.name: _int(region.identity_nodes * size) for region in scenario.regions}
    return scenario.model_copy(
        update={
            "size": size,
            "regions": tuple(
                region.model_copy(update={"identity_nodes": nodes[region.name]}) for region in scenario.regions
            ),
            "load": {
                name: load.model_copy(
                    update={
                        "token_rate_per_s": load.token_rate_per_s * size,
                        "job_rate_per_s": load.job_rate_per_s * size,
                    }
                )
                for name, load in scenario.load.items()
            },
            "settings": sized_settings(_with_defaults(scenario.settings), size),
            "timeline": tuple(_entry(entry, size) for entry in scenario.timeline),
            "expect": tuple(one.sized(size) for one in scenario.expect),
        }
    )


def sized_settings(tree: Mapping[str, Any], size: float) -> Tree:
    """A settings tree with values of size 1 at this size, such as that of a mitigation. Defaults are not added."""
    found: Tree = {name: value for name, value in tree.items() if name not in SCOPES}
    for path, scaling in _SETTINGS:
        found = _replaced(found, path, scaling, size)
    for scope in SCOPES:
        if scope in tree:
            found[scope] = {owner: sized_settings(below, size) for owner, below in tree[scope].items()}
    return found


def size_issues(scenario: Scenario, size: float) -> Iterator[ScenarioIssue]:
    """Every count that would not be whole at this size."""
    for number, region in enumerate(scenario.regions):
        yield from _issue(("regions", number, "identity_nodes"), region.identity_nodes, size)
    yield from _fractions(scenario.settings, ("settings",), size)
    for number, entry in enumerate(scenario.timeline):
        if isinstance(entry.action, ScaleIdentity):
            for name, count in entry.action.nodes.items():
                yield from _issue(("timeline", number, "nodes", name), count, size)


def _fractions(given: Mapping[str, Any], at: Loc, size: float) -> Iterator[ScenarioIssue]:
    tree = given if len(at) > 1 else _with_defaults(given)
    for path, scaling in _SETTINGS:
        value = _get(tree, path)
        if isinstance(value, int) and scaling == "×" and _is_count(path):
            default = "" if _get(given, path) is not None else f"{'.'.join(path)}, by default: "
            yield from _issue((*at, *path), value, size, default)
    for scope in SCOPES:
        for owner, below in tree.get(scope, {}).items():
            yield from _fractions(below, (*at, scope, owner), size)


def _issue(loc: Loc, value: int, size: float, named: str = "") -> Iterator[ScenarioIssue]:
    if not _is_whole(value * size):
        yield loc, f"{named}{value} at size 1 is {value * size:g} at size {size:g}; should be whole"


def _entry(entry: Entry, size: float) -> Entry:
    if not isinstance(entry.action, ScaleIdentity):
        return entry
    nodes = {name: _int(count * size) for name, count in entry.action.nodes.items()}
    return entry.acting(entry.action.model_copy(update={"nodes": nodes}))


def _with_defaults(tree: Mapping[str, Any]) -> Tree:
    """The tree with the defaults of all scaled settings: they are values of size 1 as well."""
    found: Tree = dict(tree)
    for path, _ in _SETTINGS:
        value: Any = MODELS[path[0]]()
        for name in path[1:]:
            value = getattr(value, name)
        if value is not None and _get(tree, path) is None and _has_room(tree, path):
            found = merge(found, setting_at(path, value))
    return found


def _get(tree: Mapping[str, Any], path: SettingPath) -> Any:
    value: Any = tree
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _has_room(tree: Mapping[str, Any], path: SettingPath) -> bool:
    """Whether every part above the field is a mapping or absent; anything else is reported as an invalid setting."""
    above = [_get(tree, path[:length]) for length in range(1, len(path))]
    return all(value is None or isinstance(value, Mapping) for value in above)


def _replaced(tree: Tree, path: SettingPath, scaling: Scaling, size: float) -> Tree:
    value = _get(tree, path)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return tree
    factor = 1.0 / size if scaling == "÷" else max(size, 1.0) if scaling == "× above 1" else size
    return merge(tree, setting_at(path, _int(value * factor) if _is_count(path) else value * factor))


def _is_count(path: SettingPath) -> bool:
    """Whether the settings model wants a whole number."""
    model: Any = MODELS[path[0]]
    for name in path[1:-1]:
        model = model.model_fields[name].annotation
    return model.model_fields[path[-1]].annotation in (int, int | None)


def _int(value: float) -> int | float:
    """A whole count as an integer; settings models refuse the others."""
    return round(value) if _is_whole(value) else value


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-9 * max(1.0, abs(value)) and round(value) >= 1
