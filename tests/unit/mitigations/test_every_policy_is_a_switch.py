"""Each policy can be switched in the running testbed; its default is off, or that of the incident."""

import ast
from pathlib import Path
from typing import Any

import pytest

import services.policies
from chaos.experiment.plan import settings_models
from chaos.mitigations import default_catalogue

NO_MECHANISM = {"__init__", "outcome", "part", "recent", "settings", "window"}
MODULES = sorted(p.stem for p in Path(services.policies.__file__).parent.glob("*.py") if p.stem not in NO_MECHANISM)
SWITCHES: dict[str, dict[str, Any]] = {
    "backoff": {"identity_client.sdk.part": ""},
    "retry": {"identity_client.sdk.attempts": 4, "identity_client.workflow.attempts": 3},
    "retry_budget": {"identity_client.guard.budget.kind": "off"},
    "adaptive_throttle": {"identity_client.guard.throttle.enabled": False},
    "breaker": {"identity_client.guard.breaker.mode": "off"},
    "deadline": {"identity_client.send_deadline": False, "identity.drop_expired": False},
    "token_cache": {"identity_client.cache.enabled": False},
    "queue_discipline": {"identity.discipline": "fifo", "identity.bounded": False},
    "adaptive_limit": {"identity.limit.kind": "off"},
    "admission": {"identity.shedding.kind": "off", "router.admission.enabled": False, "router.ramp_reserve": 0.0},
    "fairness": {"identity.fair": False, "identity.tenant_rate.rate_per_s": None, "router.tenant_nodes": None},
    "failover": {
        "router.failover.enabled": True,
        "router.failover.alternate_share_max": 1.0,
        "router.failover.retries_stay_home": False,
    },
    "outlier": {"router.outlier.enabled": False},
    "pacing": {"provisioner.resume_rate_per_s": None, "provisioner.requeue_jitter": 0.0},
    "capacity": {
        "identity.scale_out.guarded": False,
        "router.scale_out.guarded": False,
        "router.scale_out.slow_start_s": 0.0,
    },
}
BY_TIMELINE = {"staging"}


def test_the_table_is_the_list_of_policies() -> None:
    assert {*SWITCHES, *BY_TIMELINE} == set(MODULES)


@pytest.mark.parametrize(
    ("path", "value"), [item for switches in SWITCHES.values() for item in switches.items()], ids=lambda x: str(x)
)
def test_the_default_is_the_incident(path: str, value: object) -> None:
    section, *fields = path.split(".")
    found: Any = settings_models()[section]()
    for field in fields:
        found = getattr(found, field)
    assert found == value


def imported(path: Path) -> set[str]:
    """The full names that a module imports from."""
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in nodes for alias in node.names} | {
        str(node.module) for node in nodes
    }


def test_something_that_runs_uses_every_policy() -> None:
    root = Path(services.policies.__file__).parents[2]
    folders = ("services/clients", "services/identity", "services/router", "services/provisioner", "chaos")
    used = set().union(*(imported(path) for folder in folders for path in (root / folder).rglob("*.py")))
    assert [policy for policy in MODULES if f"services.policies.{policy}" not in used] == []


def test_staged_restores_are_part_of_a_mitigation() -> None:
    assert [m.id for m in default_catalogue().mitigations if m.timeline is not None and m.timeline.stage] == ["X1"]
