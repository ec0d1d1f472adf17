"""What docker-compose.yaml promises to people who run it, read from the file itself."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from chaos.record.sampling import KeepReason, TracingSettings
from compose import render
from compose.docker_stack import HOST_FILE
from compose.topology import MODULES, InstanceSpec
from services.chassis.environment import PREFIX
from services.chassis.otlp_export import SHARE
from services.chassis.process import ProcessSettings
from services.chassis.telemetry import ATTEMPT, KEPT

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load(render.COMPOSE_FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
INSTANCES = {spec.name: SERVICES[spec.name] for spec in render.stack().instances() if spec.name in SERVICES}
HOST: dict[str, dict[str, Any]] = yaml.safe_load(HOST_FILE.read_text(encoding="utf-8"))["services"]
PUBLISHED = re.compile(r"127\.0\.0\.1:\$\{([A-Z_]+):-(\d+)\}(\d*):(\d+)")


def published(name: str) -> list[str]:
    """The ports of a service, those for programs on the host included."""
    return [*SERVICES[name].get("ports", []), *HOST.get(name, {}).get("ports", [])]


def test_the_committed_file_is_what_render_writes() -> None:
    done = subprocess.run([sys.executable, "-m", "compose.render", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_outdated_file_is_noticed() -> None:
    text = render.COMPOSE_FILE.read_text(encoding="utf-8")
    scenario = render.load_scenario()
    assert render.render(text.replace("identity-eastus-4", "identity-eastus-5"), scenario) == text
    scenario["regions"][1]["identity_nodes"] += 1
    assert render.render(text, scenario) != text


def test_marks_that_are_gone_are_an_error() -> None:
    with pytest.raises(ValueError, match="'instances' are missing"):
        render.render("# >>> settings\n# <<< settings\n", render.load_scenario())


def test_plain_docker_compose_finds_the_file() -> None:
    lines = [line for line in (ROOT / ".env").read_text().splitlines() if line and line[0] != "#"]
    assert lines == [f"COMPOSE_FILE={render.COMPOSE_FILE.relative_to(ROOT)}"]


def test_every_instance_of_the_topology_has_an_entry() -> None:
    assert len(INSTANCES) == 25
    for spec in render.stack().instances():
        entry = SERVICES[spec.name]
        environment = entry["environment"]
        assert entry["command"] == [MODULES[spec.service]]
        assert environment["AFTERSHOCK_INSTANCE"] == spec.name
        assert environment["AFTERSHOCK_REGION"] == spec.region
        assert entry["labels"] == {
            "aftershock.service": spec.service,
            "aftershock.region": spec.region,
            "aftershock.instance": spec.name,
        }


def test_environment_names_are_those_that_a_process_reads() -> None:
    known = {PREFIX + name.upper() for name in ProcessSettings.model_fields}
    for name, entry in INSTANCES.items():
        assert set(entry["environment"]) <= known, name


def test_settings_are_one_tree_with_only_the_regions_of_the_testbed() -> None:
    tree = json.loads(COMPOSE["x-settings"])
    assert set(tree["loadgen"]["regions"]) == set(render.REGIONS)
    assert set(tree.get("regions", {})) <= set(render.REGIONS)
    assert tree["regions"]["eastus"]["router"]["pair"] == "westus"
    assert all(entry["environment"]["AFTERSHOCK_SETTINGS"] == COMPOSE["x-settings"] for entry in INSTANCES.values())


def test_a_pair_outside_the_testbed_is_no_pair() -> None:
    topology = render.stack_topology(render.load_scenario(), ["eastus", "northeurope"])
    assert [region.pair for region in topology.regions] == [None, None]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert "container_name" not in service, "fixed names forbid two testbeds side by side"
    assert service["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_on_loopback_and_can_be_moved(name: str) -> None:
    for port in published(name):
        assert PUBLISHED.fullmatch(port), port


def test_what_the_host_does_not_need_is_not_published() -> None:
    """Alertmanager's API obeys any page; Redis anybody who can reach it."""
    assert {name for name, service in SERVICES.items() if "ports" not in service} == {"redis", "alertmanager"}
    assert set(HOST) == {"redis", "alertmanager"}


def test_jaeger_is_there_on_request_and_keeps_what_a_virtual_run_keeps() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"jaeger"}
    config = yaml.safe_load((ROOT / "compose" / "jaeger" / "config.yaml").read_text())
    policies = {policy["name"]: policy for policy in config["processors"]["tail_sampling"]["policies"]}
    assert set(policies) == set(get_args(KeepReason))
    attempts = policies["attempts"]["numeric_attribute"]
    assert (attempts["key"], attempts["min_value"]) == (ATTEMPT, TracingSettings().attempts_over + 1)
    assert policies["share"]["boolean_attribute"] == {"key": KEPT, "value": True}
    assert TracingSettings().share == SHARE


def test_processes_trace_only_with_an_endpoint() -> None:
    for entry in INSTANCES.values():
        given = entry["environment"]["AFTERSHOCK_OTLP_ENDPOINT"]
        assert given == "${AFTERSHOCK_OTLP_ENDPOINT:-${COMPOSE_PROFILES:+http://jaeger:4318}}"
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


def test_prometheus_has_no_writable_api() -> None:
    command = " ".join(SERVICES["prometheus"]["command"])
    for power in ("enable-lifecycle", "enable-admin-api", "enable-remote-write-receiver", "cors"):
        assert power not in command


def test_alertmanager_shows_the_secret_that_the_controller_writes() -> None:
    receiver = yaml.safe_load((ROOT / "compose" / "alertmanager" / "alertmanager.yml").read_text())["receivers"][0]
    shown = receiver["webhook_configs"][0]["http_config"]["authorization"]["credentials_file"]
    assert SERVICES["controller"]["environment"]["AFTERSHOCK_SECRET_FILE"] == shown
    folder = str(Path(shown).parent)
    assert f"secret:{folder}" in SERVICES["controller"]["volumes"]
    assert f"secret:{folder}:ro" in SERVICES["alertmanager"]["volumes"]


def test_no_two_services_publish_the_same_port() -> None:
    ports = [PUBLISHED.fullmatch(port) for name in SERVICES for port in published(name)]
    defaults = [match[2] + match[3] for match in ports if match]
    assert len(set(defaults)) == len(defaults)


@pytest.mark.parametrize(
    ("spec", "digits"),
    [
        (InstanceSpec("blobstore", "centraluseuap", "blobstore-centraluseuap"), "100"),
        (InstanceSpec("router", "eastus", "router-eastus"), "201"),
        (InstanceSpec("provisioner", "northeurope", "provisioner-northeurope"), "402"),
        (InstanceSpec("identity", "westus", "identity-westus-4"), "314"),
        (InstanceSpec("loadgen", "", "loadgen"), "078"),
    ],
)
def test_ports_follow_from_region_and_service(spec: InstanceSpec, digits: str) -> None:
    assert render.port_digits(spec) == digits
    assert SERVICES[spec.name]["ports"] == [f"127.0.0.1:${{AFTERSHOCK_PORTS:-8}}{digits}:8080"]


def test_images_are_the_named_ones() -> None:
    public = {name: service["image"] for name, service in SERVICES.items() if name not in {*INSTANCES, "controller"}}
    assert public.pop("grafana").startswith("grafana/grafana:")
    assert public == {
        "redis": "redis:8-trixie",
        "prometheus": "prom/prometheus:v2.53.3",
        "alertmanager": "prom/alertmanager:v0.28.1",
        "jaeger": "jaegertracing/jaeger:2.19.0",
    }
    builders = [name for name, service in SERVICES.items() if "build" in service]
    assert builders == ["controller", "loadgen"], "one build an image, not one a container"


def test_redis_writes_an_append_only_file_to_a_volume() -> None:
    redis = SERVICES["redis"]
    assert redis["command"][redis["command"].index("--appendonly") + 1] == "yes"
    assert redis["volumes"] == ["redis:/data"]


def test_only_the_controller_sees_docker_and_no_container_is_privileged() -> None:
    for name, service in SERVICES.items():
        assert any("docker.sock" in volume for volume in service.get("volumes", [])) == (name == "controller")
        assert "privileged" not in service
        assert "cap_add" not in service
    for name in [*INSTANCES, "controller"]:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True


def test_everything_of_ours_waits_for_a_healthy_redis() -> None:
    for name in [*INSTANCES, "controller"]:
        assert SERVICES[name]["depends_on"]["redis"] == {"condition": "service_healthy"}, name
    waited_for = set(SERVICES["loadgen"]["depends_on"]) - {"redis"}
    assert waited_for == {name for name in INSTANCES if not name.startswith(("identity", "loadgen"))}


def test_what_is_not_ours_has_a_health_check_of_its_own() -> None:
    for name, service in SERVICES.items():
        if name not in INSTANCES and name != "controller":
            assert service["healthcheck"]["test"], name
    assert (render.ROOT / "compose" / "Dockerfile").read_text().count("HEALTHCHECK") == 2
