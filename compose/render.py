"""Generates parts of docker-compose.yaml: one entry per instance, and the settings shared by all of them.

`python -m compose.render` writes the file, `--check` only reports whether it is up to date. Regions, nodes, load and
settings come from one scenario, reduced to four regions: thirty containers are the limit for a laptop.
"""

import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from compose.topology import LOADGEN, SCALABLE, InstanceSpec, RegionSpec, Topology
from services.chassis.settings import Tree, merge

ROOT = Path(__file__).parent.parent
COMPOSE_FILE = ROOT / "compose" / "docker-compose.yaml"
SCENARIO_FILE = ROOT / "chaos" / "scenarios" / "azure-fnj8-vqz-short.yaml"
REGIONS = ("centraluseuap", "eastus", "westus", "northeurope")
SECOND_DIGITS = {"blobstore": "00", "router": "01", "provisioner": "02"}
MEMORY = {LOADGEN: "256m", "provisioner": "192m"}
"""Limits other than 128 MB. A full shared token cache (X2: 40 000 tokens) takes 66 MB of a provisioner."""
EMPTY = '""'


def stack_topology(scenario: Tree, regions: Sequence[str] = REGIONS) -> Topology:
    """The scenario's topology with only the given regions."""
    known = {region["name"]: region for region in scenario["regions"]}
    return Topology(tuple(_region(known[name], regions) for name in regions))


def _region(raw: Tree, kept: Sequence[str]) -> RegionSpec:
    known = {field.name: raw[field.name] for field in fields(RegionSpec) if field.name in raw}
    return RegionSpec(**{**known, "pair": raw.get("pair") if raw.get("pair") in kept else None})


def stack_settings(scenario: Tree, topology: Topology) -> Tree:
    """The scenario's settings tree, including its load, for the regions of the topology."""
    tree = merge(scenario.get("settings", {}), {})
    regional = {name: values for name, values in tree.pop("regions", {}).items() if name in topology.names}
    load = {name: scenario["load"][name] for name in topology.names if name in scenario["load"]}
    tree = merge(tree, {"loadgen": {"regions": load, "tenants": scenario.get("tenants") or None}})
    return topology.settings(merge(tree, {"regions": regional} if regional else {}))


def port_digits(spec: InstanceSpec, regions: Sequence[str] = REGIONS) -> str:
    """The last three digits of the published port of an instance."""
    if spec.service == LOADGEN:
        return "078"
    digits = SECOND_DIGITS.get(spec.service) or f"1{spec.name.rsplit('-', 1)[1]}"
    return f"{regions.index(spec.region) + 1}{digits}"


def render_instance(spec: InstanceSpec, topology: Topology) -> str:
    lines = [
        f"  {spec.name}:",
        "    <<: *instance",
        f"    command: [{spec.module}]",
        f"    environment: {{<<: *environment, AFTERSHOCK_REGION: {spec.region or EMPTY}, "
        f"AFTERSHOCK_INSTANCE: {spec.name}}}",
        f"    labels: {{aftershock.service: {spec.service}, aftershock.region: {spec.region or EMPTY}, "
        f"aftershock.instance: {spec.name}}}",
        f'    ports: ["127.0.0.1:${{AFTERSHOCK_PORTS:-8}}{port_digits(spec, topology.names)}:8080"]',
    ]
    if spec.service in MEMORY:
        lines.append(f"    mem_limit: {MEMORY[spec.service]}")
    if spec.service == LOADGEN:
        lines += [
            "    build: {context: .., dockerfile: compose/Dockerfile, target: services}",
            "    healthcheck: {interval: 5s}",
            "    depends_on:",
            "      redis: {condition: service_healthy}",
        ]
        callees = [callee for callee in topology.instances() if callee.service not in (LOADGEN, SCALABLE)]
        lines += [f"      {callee.name}: {{condition: service_healthy}}" for callee in callees]
    return "\n".join(lines)


def render_settings(tree: Tree) -> str:
    """The tree as JSON in a folded block, which Compose passes on as one line."""
    lines = textwrap.wrap(json.dumps(tree, sort_keys=True), 116, break_long_words=False, break_on_hyphens=False)
    return "\n".join(["x-settings: &settings >-", *(f"  {line}" for line in lines)])


def render(text: str, scenario: Tree) -> str:
    """`text` of the compose file with its generated parts replaced."""
    topology = stack_topology(scenario)
    text = _replace(text, "settings", render_settings(stack_settings(scenario, topology)), indent="")
    entries = "\n\n".join(render_instance(spec, topology) for spec in topology.instances())
    return _replace(text, "instances", entries, indent="  ")


def _replace(text: str, part: str, content: str, indent: str) -> str:
    start, end = f"{indent}# >>> {part}\n", f"{indent}# <<< {part}\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{COMPOSE_FILE}: the markers of the part {part!r} are missing")
    return f"{before}{start}{content}\n{end}{after}"


def load_scenario() -> Tree:
    raw: Any = yaml.safe_load(SCENARIO_FILE.read_text(encoding="utf-8"))
    scenario: Tree = raw
    return scenario


def stack() -> Topology:
    """The topology of the committed compose file."""
    return stack_topology(load_scenario())


def main(arguments: Sequence[str]) -> int:
    current = COMPOSE_FILE.read_text(encoding="utf-8")
    wanted = render(current, load_scenario())
    if "--check" in arguments:
        if current != wanted:
            print(f"{COMPOSE_FILE} is not up to date; run: python -m compose.render", file=sys.stderr)
        return int(current != wanted)
    COMPOSE_FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
