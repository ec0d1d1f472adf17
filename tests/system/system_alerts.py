"""When the condition of an alert held: for the run, worked out again from its record; for Prometheus, as it says.

The run and Prometheus sample at other moments of a second. In a region with few jobs the ratio of a short window may
be at its threshold for one of them and above it for the other; that one evaluation puts the clock of `for` back. Two
alerts that agree may then fire some seconds apart, but each has seen the condition when the other did.
"""

from collections import defaultdict
from itertools import pairwise

from chaos.experiment.alerts import INTERVAL_S, Rule, default_alerts, region_of
from chaos.record.record import RunRecord
from chaos.record.series import SeriesTable
from tests.system.system_desk import Desk
from tests.system.system_incident import Incident

AlertKey = tuple[str, str]
"""Name and region."""
ALERTS_AGREE_S = 4.0
"""Prometheus scrapes and the recorder samples at other moments of a second, and each may be late under load."""


def rules_of(record: RunRecord) -> list[Rule]:
    """The rules with the times of this run's pace."""
    return [rule.at_pace(record.plan["detection_pace"]) for rule in default_alerts()]


def held_in_record(record: RunRecord) -> dict[AlertKey, list[float]]:
    """The samples, by τ, at which each condition held."""
    table = SeriesTable(len(record.series))
    for name, labels in record.series.series():
        table.column(name, labels)
    rules, held = rules_of(record), defaultdict[AlertKey, list[float]](list)
    for t, row in zip(record.series.times.tolist(), record.series.values, strict=True):
        table.append(t, row)
        for rule in rules:
            for group in rule.counted(rule.holding(table, t)):
                held[rule.name, region_of(group)].append(t)
    return held


async def held_in_prometheus(desk: Desk, incident: Incident) -> dict[AlertKey, list[float]]:
    """The evaluations, by τ, at which each alert was pending or firing."""
    view, held = incident.view, defaultdict[AlertKey, list[float]](list)
    for line in await desk.curve("ALERTS", incident.at(view.at.start), incident.at(view.at.end)):
        held[line.labels["alertname"], line.labels["region"]] += [t - incident.zero_epoch_s for t, _ in line.points]
    return {key: sorted(times) for key, times in held.items()}


def put_back(held: list[float], began_t: float, fired_t: float) -> bool:
    """Whether the condition held at `began_t`, and was interrupted before it fired."""
    times = [t for t in held if began_t - ALERTS_AGREE_S <= t <= fired_t]
    seen = any(abs(t - began_t) <= ALERTS_AGREE_S for t in times)
    return seen and any(after - before > 1.5 * INTERVAL_S for before, after in pairwise(times))
