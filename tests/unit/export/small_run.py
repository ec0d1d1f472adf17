"""One recorded run for the tests of a file: two regions for a minute, with a scale-out, a crash and a drain."""

from pathlib import Path

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.export.tables import ExportedRun
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.verdict.verdict import judge

SMALL_RUN = "small run"
"""The group of all tests that use this run."""
SMALL = """\
name: small
title: Two regions
starts_at: 2026-02-02T18:03:00Z
warmup_s: 12
duration_s: 40
claims: fnj8-vqz
expect:
  - id: F1
    says: East US saturates after its load has risen.
    all:
      - {name: op_success, signal: operation_success, regions: [eastus], from: T12+6s, to: T16, below: 0.5}
regions:
  - {name: eastus, display: East US, identity_nodes: 1, pair: westus}
  - {name: westus, display: West US, identity_nodes: 1, pair: eastus}
load:
  eastus: {token_rate_per_s: 1.5, job_rate_per_s: 0.3}
  westus: {token_rate_per_s: 1, job_rate_per_s: 0}
timeline:
  - {id: T01, at_s: 2, do: start_remediation}
  - {id: T08, at_s: 14, do: restore_accounts, regions: [westus]}
  - {id: T09, at_s: 15, do: restore_accounts, regions: [eastus]}
  - {id: T12, at_s: 16, do: set_load, region: eastus, factor: 12}
  - {id: T13, at_s: 18, do: scale_identity, nodes: {eastus: 1}}
  - id: F1
    at_s: 20
    do: inject_fault
    kind: latency
    target: {service: identity, region: westus}
    parameters: {delay_s: 0.2}
    lease_s: 8
  - id: F2
    at_s: 21
    do: inject_fault
    kind: crash
    target: {service: identity, instance: identity-westus-1}
    lease_s: 5
  - {id: T16, at_s: 26, do: drain, regions: [eastus, westus]}
  - {id: T17, at_s: 28, do: ramp, regions: [eastus, westus], over_s: 5, hold_s: 1}
"""


def recorded(folder: Path) -> ExportedRun:
    """Carries the scenario out in `folder` and reads its record."""
    scenario = folder.with_name("small.yaml")
    scenario.write_text(SMALL)
    folder.mkdir()
    carry_out(make_plan(load(str(scenario)), 1), transport="direct", folder=folder)
    record = RunRecord.load(folder)
    return ExportedRun(record, judge(record))
