"""A package of a user's own: a retry policy, a fault and a journey, and a scenario that uses them."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.record.record import RunRecord
from services.parts import declared, loading

MODULE = '''
from loadgen.site import FAILED, SUCCESS, JourneyOutcome
from services.chassis.faults import OwnEffect

class Once:
    """One retry after `wait_s`."""
    def __init__(self, wait_s=0.25):
        self.after_s = wait_s
    def wait_s(self, attempt, rng):
        return self.after_s if attempt.number == 1 else None

class EveryThird:
    """Every third request fails."""
    def __init__(self, status):
        self.status = status
        self.seen = 0
    def effect(self, request, rng):
        self.seen += 1
        return OwnEffect(status=self.status) if self.seen % 3 == 0 else None

class Checkout:
    """A sign-in and a payment."""
    def __init__(self, site, resource):
        self.site = site
        self.resource = resource
    def setup(self):
        return []
    def start(self, planned):
        return self.buy()
    async def buy(self):
        for step in ("sign_in", "pay"):
            result = await self.site.tools.identity.token(self.site.tenant, self.site.region, "", self.resource)
            if not result.ok:
                return JourneyOutcome(FAILED, step, result.failure, {"attempts": result.attempts})
        return JourneyOutcome(SUCCESS, "pay")
'''
ENTRY_POINTS = """
[aftershock.retry]
once = acme_parts.parts:Once
[aftershock.fault]
every-third = acme_parts.parts:EveryThird
[aftershock.journey]
checkout = acme_parts.parts:Checkout
"""
SCENARIO = """
name: acme
title: Parts of one's own
starts_at: 2026-02-02T18:03:00Z
warmup_s: 8
duration_s: 14
regions:
  - {name: eastus, display: East US, role: east, identity_nodes: 2}
load:
  eastus: {token_rate_per_s: 4, job_rate_per_s: 0}
settings:
  identity_client:
    sdk: {part: once, options: {wait_s: 0.5}}
    workflow: {attempts: 1}
  loadgen:
    own_tenants: [{slug: acme, share: 0.5, part: checkout, options: {resource: "https://acme.example/"}}]
expect:
  - {id: E1, says: A third of the attempts fails under the fault., signal: attempt_success, region: eastus,
     from: A1+1s, to: A1+7s, below: 0.9}
  - {id: E2, says: One retry saves most of the purchases., signal: journey_success, tenant: acme,
     from: 0, to: end, at_least: 0.6}
timeline:
  - {id: A1, at_s: 2, do: inject_fault, kind: every-third, target: {service: router}, lease_s: 8,
     parameters: {status: 503}}
"""
WRONG = ("below: 0.9", "at_least: 0.9")
"""Turns the first expectation into one that does not hold."""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the package where this interpreter finds it, as an installation does; returns the scenario beside it."""
    package = folder / "acme_parts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text(MODULE)
    described = folder / "acme_parts-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-parts\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    scenario = folder / "acme.yaml"
    scenario.write_text(SCENARIO)
    isolate(monkeypatch)
    return scenario


def exit_codes(scenario: Path, into: Path, *options: str) -> tuple[int, int]:
    """`aftershock run` of the scenario as it is, and with an expectation that is wrong."""
    wrong = scenario.with_name("wrong.yaml")
    wrong.write_text(scenario.read_text().replace(*WRONG))
    right_code, wrong_code = (
        CliRunner()
        .invoke(main, ["run", str(path), *options, "--out", str(into / path.stem)], catch_exceptions=False)
        .exit_code
        for path in (scenario, wrong)
    )
    return right_code, wrong_code


def assert_parts_worked(record: RunRecord) -> None:
    """Retry policy, fault and journey did what they are for, in processes of their own."""
    sold = record.events_of("operation", tenant="acme")
    assert {event["journey"] for event in sold} == {"own"}
    assert {event["attempts"] for event in sold if event["result"] == "failed"} <= {2}
    assert any(event["duration_s"] > 0.5 for event in sold if event["result"] == "success"), "the policy's wait"
    assert (record.delta("fault_effects_total", 0, 14, kind="every-third") or 0) > 5
    assert record.first_event("journey_crashed") is None
    assert record.first_event("setting_rejected") is None


TEMPLATES = Path(__file__).parents[3] / "docs" / "extending"


def declare_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declares the actions of docs/extending."""
    isolate(monkeypatch)
    monkeypatch.setenv(declared.NAMES, "own_action:ShedInSteps,own_action:CarefulFault,own_fault:Leak")
    monkeypatch.setenv(declared.FOLDER, str(TEMPLATES))


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is declared, and what the test declares or imports is forgotten after it."""
    for name in (declared.NAMES, declared.FOLDER):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    loading._entries.cache_clear()
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [one for one in sys.modules if one.startswith("acme_parts")]:
        monkeypatch.delitem(sys.modules, name)
