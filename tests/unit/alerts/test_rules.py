"""The alert file, and the Prometheus rules that are written from it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.alerts import (
    ALERTS_FILE,
    RULES_FILE,
    AlertError,
    default_alerts,
    duration,
    load_rules,
    prometheus_rules,
    write_prometheus_rules,
)

ROOT = Path(__file__).parents[3]
NAMES = [
    "ControlPlaneFailures",
    "MultiRegionControlPlaneFailures",
    "FailureRateThreshold",
    "ManagedIdentityAvailabilityBurn",
    "RetryStorm",
    "MetastableOverload",
    "ProvisioningBacklogAge",
    "ExtensionDownloadFailures",
    "RemediationWrongTarget",
]


def groups(pace: float = 1.0) -> tuple[dict[str, str], dict[str, Any]]:
    """Recording rules by name, alerts by name."""
    recording, alerts = yaml.safe_load(prometheus_rules(pace=pace))["groups"]
    return {r["record"]: r["expr"] for r in recording["rules"]}, {r["alert"]: r for r in alerts["rules"]}


def test_the_alerts_are_these() -> None:
    assert [rule.name for rule in default_alerts()] == NAMES


def test_the_thresholds_of_the_reference_are_kept() -> None:
    rules = {rule.name: rule for rule in default_alerts()}
    burn, storm, metastable = (
        rules[n] for n in ("ManagedIdentityAvailabilityBurn", "RetryStorm", "MetastableOverload")
    )

    assert (burn.all[0].windows_s, burn.all[0].above, burn.for_s) == ((60.0, 5.0), 0.0144, 5.0)
    assert [line.above for line in storm.all] == [3.0, 0.95]
    assert ([line.above for line in metastable.all], metastable.for_s) == ([0.8, 0.95], 10.0)
    assert rules["ProvisioningBacklogAge"].all[0].above == 30.0
    assert rules["ExtensionDownloadFailures"].all[0].above == 0.05
    assert rules["RemediationWrongTarget"].all[0].above == 0.0
    assert rules["MultiRegionControlPlaneFailures"].groups_at_least == 3


def test_only_the_rules_of_the_outage_follow_its_pace() -> None:
    assert [rule.name for rule in default_alerts() if rule.paced] == NAMES[:3]


def test_every_row_of_the_report_that_is_a_detection_has_its_alert() -> None:
    assert {rule.claim: rule.name for rule in default_alerts() if rule.claim} == {
        "T02": "ControlPlaneFailures",
        "T03": "MultiRegionControlPlaneFailures",
        "T04": "FailureRateThreshold",
        "T11": "ManagedIdentityAvailabilityBurn",
    }


def test_recording_rules_are_ratios_of_rates_by_region() -> None:
    records, _ = groups()

    errors = 'identity_client_attempts_total{layer="sdk",outcome=~"timeout|throttled|error|shed"}'
    assert records["region:identity_client_attempts:error_ratio_rate5s"] == (
        f"sum by (region) (rate({errors}[5s]))"
        ' / sum by (region) (rate(identity_client_attempts_total{layer="sdk"}[5s]))'
    )
    assert records["region:identity:saturation"] == (
        "sum by (region) (identity_workers_busy) / sum by (region) (identity_workers)"
    )
    assert records["region:provisioner_oldest_job_age:seconds"] == (
        "max by (region) (provisioner_oldest_job_age_seconds)"
    )
    assert records["region:remediation_accounts_wrongly_targeted:increase_rate60s"] == (
        'sum by (region) (increase(remediation_accounts_total{result="wrongly_targeted"}[60s]))'
    )
    assert records["world:provisioner_job_tries:failure_ratio_rate30s"].startswith(
        'sum (rate(provisioner_job_tries_total{result=~"blocked|identity_failed"}[30s])) / sum (rate('
    )


def test_alerts_compare_recorded_series_only() -> None:
    records, alerts = groups()

    assert alerts["ManagedIdentityAvailabilityBurn"]["expr"] == (
        "region:identity_client_attempts:error_ratio_rate60s > 0.0144"
        " and region:identity_client_attempts:error_ratio_rate5s > 0.0144"
    )
    assert alerts["MultiRegionControlPlaneFailures"]["expr"] == (
        "count(region:provisioner_job_tries:failure_ratio_rate30s > 0.2) >= 3"
    )
    for alert in alerts.values():
        assert set(re.findall(r"[a-z]+:[a-z_]+:\w+", alert["expr"])) <= set(records)


def test_an_alert_carries_its_times_severity_row_and_summary() -> None:
    _, alerts = groups()

    assert {k: v for k, v in alerts["ControlPlaneFailures"].items() if k != "expr"} == {
        "alert": "ControlPlaneFailures",
        "for": "22s",
        "keep_firing_for": "15s",
        "labels": {"severity": "page", "claim": "T02"},
        "annotations": {"summary": "Provisioning in {{ $labels.region }} has kept failing."},
    }
    assert "keep_firing_for" not in alerts["ManagedIdentityAvailabilityBurn"]


def test_rules_for_a_shorter_outage_have_shorter_windows() -> None:
    records, alerts = groups(pace=0.25)

    assert "region:provisioner_job_tries:failure_ratio_rate7500ms" in records
    assert alerts["ControlPlaneFailures"]["for"] == "5500ms"
    assert alerts["ManagedIdentityAvailabilityBurn"]["for"] == "5s"


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60s"), (3.75, "3750ms"), (0.0, "0s"), (12.6, "12600ms")])
def test_durations_are_whole_numbers_of_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_every_metric_that_an_alert_reads_is_exported_by_some_service() -> None:
    folders = ("services", "loadgen", "chaos/remediation")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    exported = {name for text in sources for name in re.findall(r'"([a-z]+_[a-z_]+)"', text)}
    wanted = {s.metric for rule in default_alerts() for line in rule.all for s in (line.of, line.to) if s}

    assert wanted - exported == set()


def test_the_rule_file_of_the_testbed_is_what_the_alerts_say() -> None:
    if not RULES_FILE.exists():
        pytest.skip("compose/prometheus/rules.yml is not there yet")
    assert RULES_FILE.read_text() == prometheus_rules(), "run `python -m chaos.alerts`"


def test_the_writer_makes_the_folder_it_needs(tmp_path: Path) -> None:
    path = write_prometheus_rules(tmp_path / "prometheus" / "rules.yml")

    assert path.read_text() == prometheus_rules()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("pace", [1.0, 0.2])
def test_promtool_accepts_the_rules(tmp_path: Path, pace: float) -> None:
    path = write_prometheus_rules(tmp_path / "rules.yml", pace=pace)

    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


PROMTOOL_TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series:
      - series: 'identity_client_attempts_total{region="eastus",layer="sdk",outcome="ok"}'
        values: 0+18x100 1800+0x30
      - series: 'identity_client_attempts_total{region="eastus",layer="sdk",outcome="timeout"}'
        values: 0+0x100 18+18x30
    alert_rule_test:
      - {eval_time: 105s, alertname: ManagedIdentityAvailabilityBurn, exp_alerts: []}
      - eval_time: 107s
        alertname: ManagedIdentityAvailabilityBurn
        exp_alerts:
          - exp_labels: {region: eastus, severity: page, claim: T11}
            exp_annotations:
              summary: Attempts at managed identities from eastus burn the 30-day error budget 14 times too fast.
"""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_fires_at_the_same_moment_as_the_evaluator(tmp_path: Path) -> None:
    """All attempts fail from 101 on; `test_evaluator` has the same collapse, and the same six seconds."""
    write_prometheus_rules(tmp_path / "rules.yml")
    (tmp_path / "test.yml").write_text(PROMTOOL_TEST)

    command = ["promtool", "test", "rules", tmp_path / "test.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("severity: page", "severity: loud", r"alerts\.yaml:\d+: alerts\.0\.severity: Input should be 'page' or"),
        ("for_s: 22", "for_s: -1", r"alerts\.yaml:\d+: alerts\.0\.for_s: Input should be greater"),
        ("    for_s: 22\n", "", r"alerts\.yaml:\d+: alerts\.0\.for_s: Field required"),
        ("    paced: true\n", "    pace: true\n", r"alerts\.yaml:\d+: alerts\.0\.pace: Extra inputs"),
        ("windows_s: [20]", "windows_s: []", r"alerts\.yaml:\d+: alerts\.0\.all\.0: Value error, needs exactly one of"),
        ("name: RetryStorm", "name: ControlPlaneFailures", r"alerts\.yaml:\d+: alerts\.4\.name: .* is there twice"),
        (
            "record: region:identity_client:amplification",
            "record: region:identity_work:wasted_ratio",
            r"alerts\.yaml:\d+: alerts\.5\.all\.0\.record: region:identity_work:wasted_ratio_rate10s already means",
        ),
        ("alerts:\n", "alarms:\n", r"alerts\.yaml:\d+: alerts: Field required"),
    ],
)
def test_a_wrong_alert_file_is_refused_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = ALERTS_FILE.read_text()
    assert old in text
    path = tmp_path / "alerts.yaml"
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(AlertError, match=message):
        load_rules(path)


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("alerts: [")

    with pytest.raises(AlertError, match=r"alerts\.yaml:1: not valid YAML"):
        load_rules(tmp_path / "alerts.yaml")
