"""A run decided in full before anything starts: scenario, seed and every setting, expanded and written to plan.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

from chaos.faults.registry import require_offered
from chaos.mitigations import expand, mitigation_overlay, transform
from chaos.scenarios.actions import InjectFault, ScaleIdentity
from chaos.scenarios.model import Entry, Scenario
from compose.runtime import RuntimeUnavailable
from compose.topology import NODES_MAX, Region, Topology
from loadgen.record_files import VERSION, VERSION_KEY
from services.chassis.settings import Settings, SettingsError, Tree, check_regions, merge

MINUTE_S = 60.0


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run. Two runs of one plan on the virtual runtime are equal to the byte."""

    scenario: Scenario
    seed: int
    settings: Tree
    topology: Topology
    mitigations: tuple[str, ...] = ()
    command: str = ""
    base: Tree = field(default_factory=dict)
    """The settings without mitigations and without what was overridden ..."""
    overrides: Tree = field(default_factory=dict)
    """... and what was; a mitigation that is switched during the run goes between the two."""

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

    def require_offered(self, runtime: str) -> None:
        """
        Raises:
            RuntimeUnavailable: naming the entry whose fault this runtime does not offer, and those that do; or how
                many nodes it carries.
        """
        nodes, most = sum(region.identity_nodes for region in self.topology.regions), NODES_MAX[runtime]
        nodes += sum(sum(e.action.nodes.values()) for e in self.timeline if isinstance(e.action, ScaleIdentity))
        if nodes > most:
            raise RuntimeUnavailable(
                f"{self.scenario.name}: asks for {nodes} identity nodes and the {runtime} runtime carries {most}"
            )
        for entry in self.timeline:
            if isinstance(entry.action, InjectFault):
                try:
                    require_offered(entry.action.kind, runtime)
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
    """The plan of a run. Later wins: the scenario's settings, `mitigations` (the scenario's own too), `overlays`.

    Raises:
        SettingsError: naming an unknown mitigation, a field that no service has, or one whose value breaks its rule.
    """
    on = expand((*scenario.mitigations, *mitigations))
    scenario = transform(scenario, on)
    base = merge(scenario.tree(), _load(scenario))
    overrides: Tree = {}
    for overlay in overlays:
        overrides = merge(overrides, overlay)
    topology = Topology(tuple(_region(region) for region in scenario.regions))
    tree = merge(merge(base, mitigation_overlay(on, topology.names)), overrides)
    check_settings(tree, topology.names)
    return Plan(scenario, seed, tree, topology, on, command=command, base=base, overrides=overrides)


def _load(scenario: Scenario) -> Tree:
    rates = {name: load.model_dump() for name, load in scenario.load.items()}
    return {"loadgen": {"regions": rates, "tenants": list(scenario.tenants) or None}}


def _region(region: Any) -> Region:
    return Region(region.name, region.display, region.pair, region.role, region.identity_nodes)


def check_settings(tree: Tree, regions: Sequence[str]) -> None:
    """Every section belongs to a service and satisfies its model, in every region."""
    models = settings_models()
    for name in tree:
        if name not in (*models, "regions", "instances"):
            raise SettingsError(f"{name}: unknown section; known: {', '.join(sorted(models))}")
    for region, sections in tree.get("regions", {}).items():
        if region not in regions:
            raise SettingsError(f"regions.{region}: unknown region; known: {', '.join(regions)}")
        for name in sections:
            if name not in models:
                raise SettingsError(f"regions.{region}.{name}: unknown section; known: {', '.join(sorted(models))}")
    for name, model in models.items():
        check_regions(model, tree, name, regions)


def settings_models() -> dict[str, type[Settings]]:
    """The settings model of every section of the tree."""
    from chaos.remediation.settings import RemediationSettings
    from loadgen.settings import LoadgenSettings
    from services.blobstore.settings import BlobstoreSettings
    from services.chassis.managed_identity import IdentityClientSettings
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
    }


def parse_assignment(text: str) -> Tree:
    """`identity.queue_length=30` as a tree; values are read as YAML scalars or lists.

    Raises:
        SettingsError: when the text is not `path=value`.
    """
    path, found, raw = text.partition("=")
    parts = [part for part in path.strip().split(".") if part]
    if not found or len(parts) < 2:
        raise SettingsError(f"{text!r}: should be section.field=value, e.g. identity.queue_length=30")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not a value: {raw!r}") from error
    for part in reversed(parts):
        value = {part: value}
    tree: Tree = value
    return tree
