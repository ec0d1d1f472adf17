"""The alert file, and the Prometheus rules that are written from it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.experiment.alerts import (
    ALERTS_FILE,
    PACES,
    RULES_FOLDER,
    AlertError,
    default_alerts,
    duration,
    load_rules,
    nearest_pace,
    prometheus_rules,
    rule_files,
    write_prometheus_rules,
)
from chaos.scenarios.loader import load, names

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
    recording, alerts = yaml.safe_load(prometheus_rules(pace))["groups"]
    return {r["record"]: r["expr"] for r in recording["rules"]}, {r["alert"]: r for r in alerts["rules"]}


def test_the_alerts_are_these() -> None:
    assert [rule.name for rule in default_alerts()] == NAMES


def test_the_thresholds_of_the_reference_are_kept() -> None:
    """But for the wait of MetastableOverload, 10 s there: one sample of an idle new node began it again."""
    rules = {rule.name: rule for rule in default_alerts()}
    burn, storm, metastable = (
        rules[n] for n in ("ManagedIdentityAvailabilityBurn", "RetryStorm", "MetastableOverload")
    )

    assert (burn.all[0].windows_s, burn.all[0].above, burn.for_s) == ((60.0, 5.0), 0.0144, 5.0)
    assert [line.above for line in storm.all] == [3.0, 0.95]
    assert ([line.above for line in metastable.all], metastable.for_s) == ([0.8, 0.95], 3.0)
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

    errors = 'identity_client_attempts_total{layer="sdk",outcome=~"timeout|throttled|error|shed",run=""}'
    assert records["region:identity_client_attempts:error_ratio_rate5s"] == (
        f"sum by (region) (rate({errors}[5s]))"
        ' / sum by (region) (rate(identity_client_attempts_total{layer="sdk",run=""}[5s]))'
    )
    assert records["region:identity:saturation"] == (
        'sum by (region) (identity_workers_busy{run=""}) / sum by (region) (identity_workers{run=""})'
    )
    assert records["region:provisioner_oldest_job_age:seconds"] == (
        'max by (region) (provisioner_oldest_job_age_seconds{run=""})'
    )
    assert records["region:remediation_accounts_wrongly_targeted:increase_rate600s"] == (
        'sum by (region) (increase(remediation_accounts_total{result="wrongly_targeted",run=""}[600s]))'
    )
    assert records["world:provisioner_job_tries:failure_ratio_rate30s"].startswith(
        'sum (rate(provisioner_job_tries_total{result=~"blocked|identity_failed",run=""}[30s])) / sum (rate('
    )


def test_alerts_compare_recorded_series_only() -> None:
    records, alerts = groups()

    assert alerts["ManagedIdentityAvailabilityBurn"]["expr"] == (
        "region:identity_client_attempts:error_ratio_rate60s > 0.0144"
        " and region:identity_client_attempts:error_ratio_rate5s > 0.0144"
    )
    assert alerts["MultiRegionControlPlaneFailures"]["expr"] == (
        "(count(region:provisioner_job_tries:failure_ratio_rate30s > 0.2) >= 3)"
        ' unless on () controller_detection_pace{run=""} != 1'
    )
    for alert in alerts.values():
        assert set(re.findall(r"[a-z]+:[a-z_]+:\w+", alert["expr"])) <= set(records)


def test_an_alert_carries_its_times_severity_service_row_and_what_to_look_at() -> None:
    _, alerts = groups()

    assert {k: v for k, v in alerts["ControlPlaneFailures"].items() if k != "expr"} == {
        "alert": "ControlPlaneFailures",
        "for": "22s",
        "keep_firing_for": "60s",
        "labels": {"severity": "page", "service": "provisioner", "claim": "T02"},
        "annotations": {
            "summary": "Provisioning in {{ $labels.region }} keeps failing.",
            "description": "Look at: dashboard 2 for {{ $labels.region }}, row Compute. Are package downloads refused "
            "(Storage, errors), or do token requests fail (Identity)?",
            "runbook_url": "docs/runbook.md#controlplanefailures",
        },
    }


def test_every_alert_names_a_region_a_service_something_to_look_at_and_its_paragraph_of_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(NAMES)
    _, alerts = groups()
    for rule in default_alerts():
        alert = alerts[rule.name]
        assert ("region" in alert["labels"]) != (rule.by == ("region",) and rule.groups_at_least is None)
        assert alert["labels"]["service"] == rule.service
        assert re.search(r"dashboard [1-4]", alert["annotations"]["description"]), rule.name
        assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{rule.name.lower()}"


def test_the_paragraph_of_the_runbook_says_what_to_look_at_and_when_it_is_over() -> None:
    parts = re.split(r"^## \w+$", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    for name, part in zip(NAMES, parts, strict=True):
        assert len(part.split()) > 40, name
        assert "dashboard" in part.lower(), name
        assert "over when" in part, name


def test_rules_for_a_shorter_outage_are_what_its_pace_changes_and_nothing_else() -> None:
    records, alerts = groups(pace=0.25)

    assert set(records) == {
        "region:provisioner_job_tries:failure_ratio_rate5s",
        "region:provisioner_job_tries:failure_ratio_rate7500ms",
        "world:provisioner_job_tries:failure_ratio_rate7500ms",
    }
    assert list(alerts) == NAMES[:3]
    assert (alerts["ControlPlaneFailures"]["for"], alerts["ControlPlaneFailures"]["keep_firing_for"]) == (
        "5500ms",
        "15s",
    )


def test_a_paced_alert_is_in_one_file_for_each_pace_and_only_one_of_them_holds() -> None:
    """Without a controller there is no scenario: then it is the incident's own."""
    for pace, guard in (
        (1.0, ' unless on () controller_detection_pace{run=""} != 1'),
        (0.2, ' and on () controller_detection_pace{run=""} == 0.2'),
    ):
        _, alerts = groups(pace)
        for rule in default_alerts():
            if rule.name in alerts:
                assert alerts[rule.name]["expr"].endswith(guard) == rule.paced, rule.name


def test_every_scenario_of_ours_has_the_rules_of_its_pace() -> None:
    assert {load(name).detection_pace for name in names()} <= set(PACES)


@pytest.mark.parametrize(
    ("pace", "file"), [(1.0, 1.0), (0.2, 0.2), (0.9, 1.0), (0.1, 0.2), (0.4, 0.2), (0.5, 1.0), (7.0, 1.0)]
)
def test_a_scenario_with_another_pace_takes_the_nearest(pace: float, file: float) -> None:
    assert nearest_pace(pace) == file


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60s"), (3.75, "3750ms"), (0.0, "0s"), (12.6, "12600ms")])
def test_durations_are_whole_numbers_of_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_every_metric_that_an_alert_reads_is_exported_by_some_service() -> None:
    folders = ("services", "loadgen", "chaos/remediation")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    exported = {name for text in sources for name in re.findall(r'"([a-z]+_[a-z_]+)"', text)}
    wanted = {s.metric for rule in default_alerts() for line in rule.all for s in (line.of, line.to) if s}

    assert wanted - exported == set()


def test_the_rule_files_of_the_testbed_are_what_the_alerts_say() -> None:
    found = {path: path.read_text() for path in RULES_FOLDER.glob("rules*.yml")}
    assert found == rule_files(), "run `python -m chaos.experiment.alerts`"


def test_the_writer_makes_the_folder_it_needs(tmp_path: Path) -> None:
    paths = write_prometheus_rules(tmp_path / "prometheus")

    assert [path.read_text() for path in paths] == [prometheus_rules(pace) for pace in PACES]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    for path in write_prometheus_rules(tmp_path):
        done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("severity: page", "severity: loud", r"alerts\.yaml:\d+: alerts\.0\.severity: Input should be 'page' or"),
        ("for_s: 22", "for_s: -1", r"alerts\.yaml:\d+: alerts\.0\.for_s: Input should be greater"),
        ("    for_s: 22\n", "", r"alerts\.yaml:\d+: alerts\.0\.for_s: Field required"),
        ("    paced: true\n", "    pace: true\n", r"alerts\.yaml:\d+: alerts\.0\.pace: Extra inputs"),
        ("windows_s: [20]", "windows_s: []", r"alerts\.yaml:\d+: alerts\.0\.all\.0: Value error, needs exactly one of"),
        ("name: RetryStorm", "name: ControlPlaneFailures", r"alerts\.yaml:\d+: alerts\.4\.name: .* is defined twice"),
        (
            "record: region:identity_client:amplification",
            "record: region:identity_work:wasted_ratio",
            r"alerts\.yaml:\d+: alerts\.5\.all\.0\.record: region:identity_work:wasted_ratio_rate10s is already",
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


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("alerts: [")

    with pytest.raises(AlertError, match=r"alerts\.yaml:1: not valid YAML"):
        load_rules(tmp_path / "alerts.yaml")
