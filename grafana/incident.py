"""Dashboard 1: one screen for the wall, readable from across a room."""

from typing import Any

from grafana.panels import BLUE, GREEN, NORMAL, RED, YELLOW, Panel, dashboard, lines, row, stat, steps
from grafana.queries import ANNOTATIONS, ATTEMPTS, SDK, STARTED, WORK, amplification, rate, share

BACKLOG = 'provisioner_jobs{state=~"queued|blocked"}'
WORK_COLORS = {"operations begun": BLUE, "attempts offered": YELLOW, "good work": GREEN, "wasted work": RED}


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-incident",
        "1 · The incident at a glance",
        "What happens now. One second here is one minute of the incident.",
        row(5, clock(), phase(), success(), retries(), backlog(), nodes(), widths=(5, 7, 4, 3, 3, 2)),
        row(9, success_by_region(), work()),
        row(9, amplification_by_region(), backlog_by_region(), nodes_by_region()),
        annotations=ANNOTATIONS,
    )


def clock() -> Panel:
    now = {"now": "max(controller_incident_timestamp_seconds) * 1000"}
    return stat("Incident clock (UTC)", now, unit="time:HH:mm", description="1 s here is 1 min there.")


def phase() -> Panel:
    said = "The last thing that operators or the world did."
    now = {"{{phase}}": "controller_run_phase"}
    return stat("Phase", now, unit="none", description=said, show="name", size=NORMAL)


def success() -> Panel:
    now = {"success": share(ATTEMPTS, 'outcome="ok"', SDK)}
    good = steps(RED, (0.9, YELLOW), (0.99, GREEN))
    return stat("Success", now, unit="percentunit", decimals=0, thresholds=good)


def retries() -> Panel:
    said = "Attempts per operation: 1 when nobody retries."
    good = steps(GREEN, (1.2, YELLOW), (3, RED))
    now = {"amplification": amplification()}
    return stat("Amplification", now, unit="none", decimals=1, thresholds=good, description=said)


def backlog() -> Panel:
    good = steps(GREEN, (50, YELLOW), (200, RED))
    return stat("Backlog", {"jobs": f"sum({BACKLOG})"}, unit="short", decimals=0, thresholds=good)


def nodes() -> Panel:
    good = steps(RED, (6, YELLOW), (12, GREEN))
    return stat("Nodes up", {"nodes": "sum(identity_node_up)"}, unit="none", decimals=0, thresholds=good)


def success_by_region() -> Panel:
    ratios = {"{{region}}": share(ATTEMPTS, 'outcome="ok"', SDK, "region")}
    return lines("Success of identity attempts by region", ratios, unit="percentunit", top=1, bold=True)


def work() -> Panel:
    rates = {
        "operations begun": rate(STARTED),
        "attempts offered": rate(ATTEMPTS, SDK),
        "good work": rate(WORK, 'outcome="useful"'),
        "wasted work": rate(WORK, 'outcome="wasted"'),
    }
    said = "Wasted: finished after the caller had left."
    title = "Work: asked for, offered, good, wasted"
    return lines(title, rates, unit="reqps", bold=True, colors=WORK_COLORS, description=said)


def amplification_by_region() -> Panel:
    ratios = {"{{region}}": amplification("region")}
    alert = steps("transparent", (3, RED))
    return lines("Amplification by region", ratios, unit="none", bold=True, thresholds=alert)


def backlog_by_region() -> Panel:
    jobs = {"{{region}}": f"sum by (region) ({BACKLOG})"}
    return lines("Provisioning backlog by region", jobs, unit="short", bold=True, stacked=True)


def nodes_by_region() -> Panel:
    up = {"{{region}}": "sum by (region) (identity_node_up)"}
    return lines("Identity nodes up by region", up, unit="none", bold=True)
