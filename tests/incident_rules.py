"""The alerts of a recorded incident, as a test for `promtool test rules`.

What Prometheus must say is what the run's own evaluator said: at every second, except the one before and after an alert
begins or ends, where the two may differ by one evaluation interval.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from chaos.experiment.alerts import PACE_METRIC, Rule, default_alerts, prometheus_rules, write_prometheus_rules
from chaos.record.record import RunRecord

Span = tuple[str, float, float]
"""Region, firing, resolved."""


def metrics_read(rules: tuple[Rule, ...]) -> set[str]:
    return {s.metric for rule in rules for line in rule.all for s in (line.of, line.to) if s}


def input_series(record: RunRecord) -> list[dict[str, str]]:
    """Every series that a rule reads, one value a second; a gap stays a gap."""
    wanted, table, found = metrics_read(default_alerts()), record.series, []
    for number, (name, labels) in enumerate(zip(table.names, table.labels, strict=True)):
        if name in wanted:
            values = " ".join("_" if math.isnan(value) else f"{value:.10g}" for value in table.values[:, number])
            matchers = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
            found.append({"series": f"{name}{{{matchers}}}", "values": values})
    pace = record.plan["detection_pace"]
    return [*found, {"series": PACE_METRIC, "values": f"{pace:g}x{len(table.times) - 1}"}]


def spans(record: RunRecord) -> dict[str, list[Span]]:
    """When each alert fired, by the run's own evaluator."""
    found: dict[str, list[Span]] = {rule.name: [] for rule in default_alerts()}
    for event in record.events_of("alert", record.start, math.inf):
        known = found[event["name"]]
        if event["state"] == "firing":
            known.append((event["region"], event["t"], math.inf))
        else:
            at = max(number for number, span in enumerate(known) if span[0] == event["region"])
            known[at] = (*known[at][:2], event["t"])
    return found


def expectations(record: RunRecord) -> Iterator[dict[str, Any]]:
    parts = [
        yaml.safe_load(prometheus_rules(pace))["groups"][1]["rules"] for pace in (1.0, record.plan["detection_pace"])
    ]
    alerts = {alert["alert"]: alert for part in parts for alert in part}
    start = record.start
    for name, known in spans(record).items():
        unsure = {
            round(moment) + step for _, *ends in known for moment in ends if moment < math.inf for step in (-1, 0, 1)
        }
        for t in range(round(start), round(record.end) + 1):
            if t not in unsure:
                regions = [region for region, since, until in known if since <= t < until]
                yield {
                    "eval_time": f"{t - round(start)}s",
                    "alertname": name,
                    "exp_alerts": [_expected(alerts[name], region) for region in regions],
                }


def _expected(alert: dict[str, Any], region: str) -> dict[str, Any]:
    texts = {key: text.replace("{{ $labels.region }}", region) for key, text in alert["annotations"].items()}
    return {"exp_labels": {**alert["labels"], "region": region}, "exp_annotations": texts}


def write_test(record: RunRecord, folder: Path) -> Path:
    """Rule files and test beside each other; promtool is to be run on what this returns."""
    files = write_prometheus_rules(folder)
    document = {
        "rule_files": [path.name for path in files],
        "evaluation_interval": "1s",
        "tests": [
            {"interval": "1s", "input_series": input_series(record), "alert_rule_test": list(expectations(record))}
        ],
    }
    path = folder / "incident.yml"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML, and written a hundred times faster
    return path
