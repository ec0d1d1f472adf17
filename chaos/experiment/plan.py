"""The plan of a run: scenario, seed and every setting, expanded before the start and written to plan.json."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaos.faults.registry import require_offered
from chaos.mitigations import expand, mitigation_overlay, transform
from chaos.record.files import VERSION, VERSION_KEY
from chaos.record.sampling import TracingSettings
from chaos.scenarios.actions import InjectFault, ScaleIdentity
from chaos.scenarios.document import DocumentError
from chaos.scenarios.document import parse as parse_document
from chaos.scenarios.model import Entry, Scenario
from compose.runtime import RuntimeUnavailable
from compose.topology import NODES_MAX, RegionSpec, Topology
from services.chassis.settings import Settings, SettingsError, Tree, check_regions, merge, resolve, setting_at, short
from services.parts.declared import declare

PATH_PARTS_MAX = 12
EVERYWHERE = ("remediation", "tracing")
"""Sections without regional values."""


@dataclass(frozen=True)
class Plan:
    """All inputs of a run. Two runs of one plan on the virtual runtime are equal to the byte."""

    scenario: Scenario
    seed: int
    settings: Tree
    topology: Topology
    mitigations: tuple[str, ...] = ()
    command: str = ""
    base: Tree = field(default_factory=dict)
    """The settings without mitigations and overrides."""
    overrides: Tree = field(default_factory=dict)
    """The overridden settings. Mitigations, also those switched during the run, are merged between the two."""

    @property
    def timeline(self) -> Sequence[Entry]:
        return self.scenario.in_order

    @property
    def warmup_s(self) -> float:
        return self.scenario.warmup_s

    @property
    def duration_s(self) -> float:
        return self.scenario.duration_s

    @property
    def starts_at(self) -> datetime:
        return self.scenario.starts_at

    @property
    def tracing(self) -> TracingSettings:
        """Whether and how the run is traced."""
        return resolve(TracingSettings, self.settings, "tracing", "")

    def require_offered(self, runtime: str) -> None:
        """Checks that `runtime` supports every fault of the timeline and has room for all nodes.

        Raises:
            RuntimeUnavailable: it does not; the message names the entry and the runtimes that support it, or the limit.
        """
        nodes, most = sum(region.identity_nodes for region in self.topology.regions), NODES_MAX[runtime]
        nodes += sum(sum(e.action.nodes.values()) for e in self.timeline if isinstance(e.action, ScaleIdentity))
        if nodes > most:
            raise RuntimeUnavailable(
                f"{self.scenario.name}: needs {nodes} identity nodes and the limit of the {runtime} runtime is {most}"
            )
        if self.tracing.enabled and runtime != "virtual":
            raise RuntimeUnavailable(
                f"{self.scenario.name}: tracing.enabled: only the virtual runtime keeps traces itself; "
                "services of the others send theirs to AFTERSHOCK_OTLP_ENDPOINT (docs/traces.md)"
            )
        for entry in self.timeline:
            if isinstance(entry.action, InjectFault):
                try:
                    require_offered(entry.action.spec, runtime)
                except RuntimeUnavailable as error:
                    raise RuntimeUnavailable(f"{self.scenario.name}: {entry.id}: {error}") from None

    def document(self, runtime: str, transport: str, commit: str) -> dict[str, Any]:
        """The content of plan.json."""
        scenario = self.scenario
        return {
            VERSION_KEY: VERSION,
            "scenario": scenario.name,
            "title": scenario.title,
            "source": scenario.source,
            "size": scenario.size,
            "seed": self.seed,
            "runtime": runtime,
            "transport": transport,
            "warmup_s": scenario.warmup_s,
            "duration_s": scenario.duration_s,
            "starts_at": scenario.starts_at.isoformat(),
            "detection_pace": scenario.detection_pace,
            "settings": self.settings,
            "regions": [region.model_dump(mode="json") for region in scenario.regions],
            "tenants": list(scenario.tenants),
            "timeline": [entry.plan() for entry in self.timeline],
            "expect": [expectation.document() for expectation in scenario.expect],
            "claims": scenario.claims,
            "mitigations": list(self.mitigations),
            "command": self.command,
            "commit": commit,
        }


def make_plan(
    scenario: Scenario,
    seed: int,
    *,
    overlays: Sequence[Mapping[str, Any]] = (),
    mitigations: Sequence[str] = (),
    command: str = "",
) -> Plan:
    """Makes the plan of a run.

    Settings in rising precedence: the scenario's, `mitigations` (including the scenario's own), `overlays`.

    Raises:
        SettingsError: an unknown mitigation, an unknown field, or an invalid value; named in the message.
    """
    on = expand((*scenario.mitigations, *mitigations))
    scenario = transform(scenario, on)
    base = merge(scenario.tree(), _load(scenario))
    overrides = merge({}, *overlays)
    topology = Topology(tuple(_region(region) for region in scenario.regions))
    tree = merge(base, mitigation_overlay(on, topology.names, scenario.size), overrides)
    check_settings(tree, topology)
    return Plan(scenario, seed, tree, topology, on, command=command, base=base, overrides=overrides)


def _load(scenario: Scenario) -> Tree:
    # A run has the full load of its scenario, independent of the load profile of an idle testbed.
    rates = {name: load.model_dump() for name, load in scenario.load.items()}
    return {"loadgen": {"regions": rates, "profile": "base", "tenants": list(scenario.tenants) or None}}


def _region(region: Any) -> RegionSpec:
    return RegionSpec(region.name, region.display, region.pair, region.role, region.identity_nodes)


def check_settings(tree: Tree, topology: Topology) -> None:
    """Checks that every name in the tree exists, and that every section is valid in every region and instance.

    Raises:
        SettingsError: the first invalid path, with the violated rule or the known names.
    """
    models, regions = settings_models(), topology.names
    scopes = {"regions": regions, "instances": [spec.name for spec in topology.instances()]}
    _check_names("", tree, (*models, *scopes), "section", scopes)
    for scope, known in scopes.items():
        _check_names(f"{scope}.", _mapping(scope, tree.get(scope, {})), known, scope[:-1])
        for owner, sections in tree.get(scope, {}).items():
            path = f"{scope}.{owner}"
            local = [name for name in models if name not in EVERYWHERE]
            _check_names(f"{path}.", _mapping(path, sections), local, "section")
            for name, values in sections.items():
                _mapping(f"{path}.{name}", values)
    for name, model in models.items():
        _mapping(name, tree.get(name, {}))
        check_regions(model, tree, name, regions)
        for spec in topology.instances():
            if name in tree.get("instances", {}).get(spec.name, {}):
                resolve(model, tree, name, spec.region, spec.name)
    for region in regions:
        resolve(models["blobstore"], tree, "blobstore", region).seeds(region)  # type: ignore[attr-defined]
    rates = tree.get("loadgen", {}).get("regions", {})
    _check_names("loadgen.regions.", rates, regions, "region")


def _mapping(path: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise SettingsError(f"{path}: should be a mapping (got {short(given)})")
    return given


def _check_names(
    prefix: str, given: Mapping[str, Any], known: Sequence[str], kind: str, hidden: Collection[str] = ()
) -> None:
    for name in given:
        if name not in known:
            shown = ", ".join(sorted(one for one in known if one not in hidden))
            raise SettingsError(f"{prefix}{name}: unknown {kind}; known: {shown}")


def settings_models() -> dict[str, type[Settings]]:
    """The settings model of each section of the tree."""
    from chaos.remediation.settings import RemediationSettings
    from loadgen.settings import LoadgenSettings
    from services.blobstore.settings import BlobstoreSettings
    from services.clients.identity.client import IdentityClientSettings
    from services.identity.settings import IdentitySettings
    from services.provisioner.settings import ProvisionerSettings
    from services.router.settings import RouterSettings

    return {
        "blobstore": BlobstoreSettings,
        "identity": IdentitySettings,
        "identity_client": IdentityClientSettings,
        "loadgen": LoadgenSettings,
        "provisioner": ProvisionerSettings,
        "remediation": RemediationSettings,
        "router": RouterSettings,
        "tracing": TracingSettings,
    }


def parse_assignment(text: str) -> Tree:
    """Parses `identity.queue_length=30` to a tree; values are YAML scalars or lists.

    Raises:
        SettingsError: the text is not `path=value`.
    """
    path, found, raw = text.partition("=")
    parts = path.strip().split(".")
    if not found or not 2 <= len(parts) <= PATH_PARTS_MAX or not all(parts):
        raise SettingsError(f"{short(text)}: should be section.field=value, e.g. identity.queue_length=30")
    value = _value(path.strip(), raw)
    if parts[-1] == "part" and isinstance(value, str):
        declare([value])  # the user of a command names it
    return setting_at(tuple(parts), value)


def overrides_from(assignments: Iterable[str]) -> Tree:
    """Several assignments as one tree; a later one wins."""
    return merge({}, *map(parse_assignment, assignments))


def _value(path: str, raw: str) -> Any:
    """Parsed by the rules of scenario files: `010` is ten, `on` is text."""
    if not raw.strip():
        return None
    try:
        return parse_document(raw, path).values
    except DocumentError as error:
        raise SettingsError(f"{path}: not a value: {str(error).removeprefix(path + ':1: ')}") from error
