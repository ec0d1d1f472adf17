"""Checks of the faults in a timeline: parameters, targets, end times.

Whether the runtime supports a kind is not checked here but before the start of a run.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from pydantic import ValidationError

from chaos.faults.model import InstanceFault
from chaos.faults.redis_stall import REDIS
from chaos.faults.registry import check, known
from chaos.faults.targets import UnknownTarget, find_targets
from chaos.scenarios.actions import EndFault, InjectFault, ScaleIdentity
from chaos.scenarios.document import Loc, ScenarioIssue
from chaos.scenarios.model import Entry, Scenario
from compose.topology import InstanceSpec, RegionSpec, Topology, next_nodes
from services.blobstore.settings import BlobstoreSettings
from services.chassis.settings import SettingsError, complaints, resolve


def fault_findings(scenario: Scenario) -> Iterator[ScenarioIssue]:
    """All errors, as (location in the scenario, text)."""
    number_of = {id(entry): number for number, entry in enumerate(scenario.timeline)}
    instances = Topology(
        tuple(RegionSpec(r.name, r.display, identity_nodes=r.identity_nodes) for r in scenario.regions)
    )
    there = instances.instances()
    begun: dict[str, Entry] = {}
    ended: dict[str, str] = {}
    for entry in scenario.in_order:
        loc: Loc = ("timeline", number_of[id(entry)])
        match entry.action:
            case ScaleIdentity(nodes=nodes):
                for region, count in nodes.items():
                    there += next_nodes(there, region, count)
            case InjectFault():
                begun[entry.id] = entry
                yield from ((loc + below, text) for below, text in _injected(scenario, entry.action, there))
            case EndFault():
                yield from ((loc + below, text) for below, text in _ended(entry, entry.action.fault, begun, ended))


def _injected(scenario: Scenario, action: InjectFault, there: list[InstanceSpec]) -> Iterator[ScenarioIssue]:
    kind = known(action.kind)
    try:
        parameters = kind.parameters.model_validate(action.fault_parameters)
    except ValidationError as error:
        yield from _parameters(error)
        return
    try:
        check(action.spec)
        met = find_targets(action.spec, there)
    except SettingsError as error:
        field, _, text = str(error).partition(": ")
        yield tuple(field.split(".")), text
    except UnknownTarget as error:
        yield tuple(error.field.split(".")), error.text
    else:
        yield from _account(scenario, action)
        if isinstance(kind, InstanceFault) and (peer := getattr(parameters, "peer", "")):
            yield from _peer(peer, met, there)


def _parameters(error: ValidationError) -> Iterator[ScenarioIssue]:
    for finding in complaints(error):
        name = ".".join(map(str, finding["loc"]))
        if finding["type"] == "missing":
            yield (), f"parameters.{name} is required"
        else:
            rule = "unknown field" if finding["type"] == "extra_forbidden" else finding["msg"]
            yield ("parameters", *finding["loc"]), f"{rule} (got {finding['input']!r})"


def _account(scenario: Scenario, action: InjectFault) -> Iterator[ScenarioIssue]:
    if not action.target.account:
        return
    regions = [action.target.region] if action.target.region else [region.name for region in scenario.regions]
    try:
        stores = [resolve(BlobstoreSettings, scenario.settings, "blobstore", region) for region in regions]
    except SettingsError:
        return  # reported elsewhere as an invalid setting
    known = [seed.name for store, region in zip(stores, regions, strict=True) for seed in store.seeds(region)]
    if action.target.account not in known:
        yield ("target", "account"), f"unknown account {action.target.account!r}; known: {', '.join(known)}"


def _peer(pattern: str, met: list[InstanceSpec], there: list[InstanceSpec]) -> Iterator[ScenarioIssue]:
    names = [REDIS, *(spec.name for spec in there)]
    if not any(fnmatchcase(name, pattern) and [name] != [spec.name for spec in met] for name in names):
        yield ("parameters", "peer"), f"matches no other instance: {pattern!r}; known: {', '.join(names)}"


def _ended(entry: Entry, fault: str, begun: dict[str, Entry], ended: dict[str, str]) -> Iterator[ScenarioIssue]:
    start = begun.get(fault)
    if start is None:
        yield ("fault",), f"no earlier inject_fault has the id {fault!r}"
        return
    assert isinstance(start.action, InjectFault)
    over = start.t + start.action.lease_s
    if fault in ended:
        yield ("fault",), f"{fault!r} is already ended by {ended[fault]!r}"
    elif entry.t >= over:
        yield ("fault",), f"the lease of {fault!r} is over at bench second {over:g}, before this at {entry.t:g}"
    ended.setdefault(fault, entry.id)
