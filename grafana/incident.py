"""Dashboard 1: one wall screen, readable from across a room.

The first 17 grid rows, all that a small laptop shows, answer what is broken, where, since when, and whether it is over.
The rest shows the causes.
"""

from typing import Any

from grafana.colors import ALERTS, BLUE, DARK, GREEN, RED, REGIONS, WHITE, YELLOW
from grafana.panels import Panel, bars, dashboard, lines, row, spans, stat, steps, timeline, words
from grafana.queries import (
    ANNOTATIONS,
    ATTEMPTS,
    BACKLOG,
    SDK,
    STARTED,
    WORK,
    amplification,
    busy,
    identity,
    known,
    provisioning,
    rate,
    share,
)

BROKEN, GOOD = 0.5, 0.95
BACKLOG_LARGE = 50
WORK_COLORS = {"operations started": BLUE, "attempts (offered load)": WHITE, "goodput": GREEN, "wasted work": RED}
WORKS = spans((0.95, 1.001, "ok", GREEN), (0.5, 0.95, "degraded", YELLOW), (-0.001, 0.5, "failing", RED))
FIRING = 'ALERTS{alertstate="firing"}'


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-incident",
        "1 · The incident at a glance",
        "Service state, alerts and load. One second is one minute of the incident.",
        row(3, headline(), last_action(), clock(), widths=(8, 10, 6)),
        row(3, provisioning_success(), identity_success(), retries(), backlog(), pages(), fullest()),
        row(11, does_it_work(), alerts(), work(), widths=(9, 8, 7)),
        row(9, amplification_by_region(), backlog_by_region(), saturation_by_region(), users()),
        annotations=ANNOTATIONS,
    )


def _regions_below(success: str, limit: float) -> str:
    return known(f"count({success} < {limit})")


def headline() -> Panel:
    """The state as a bit mask: 1 provisioning fails, 2 identity fails, 4 the backlog is large."""
    lost = f"({_regions_below(provisioning('region'), BROKEN)} > bool 0)"
    blind = f"({_regions_below(identity('region', '10s'), BROKEN)} > bool 0)"
    late = f"({known(f'sum({BACKLOG})')} > bool {BACKLOG_LARGE})"
    texts: dict[float, tuple[str, str]] = {
        0: ("Healthy", GREEN),
        1: ("Provisioning failing", RED),
        2: ("Identity failing", RED),
        3: ("Provisioning and identity failing", RED),
        4: ("Recovered, backlog draining", YELLOW),
        5: ("Provisioning failing", RED),
        6: ("Identity failing", RED),
        7: ("Provisioning and identity failing", RED),
    }
    said = "Failing: fewer than half of the attempts succeed in at least one region."
    now = {"state": f"{lost} + 2 * {blind} + 4 * {late}"}
    return stat("Service state", now, unit="none", mappings=words(texts), description=said)


def last_action() -> Panel:
    said = "The last entry of the scenario's timeline, notes excluded."
    now = {"{{phase}}": "topk(1, timestamp(controller_run_phase))"}
    return stat("Last operator action", now, unit="none", description=said, show="name", filled=False)


def clock() -> Panel:
    """The run's clocks, and this machine's clock, which the axes use."""
    now = {
        "run time": "max(controller_run_seconds)",
        "incident time, UTC": "max(controller_incident_timestamp_seconds) * 1000",
        "wall clock, UTC": "time() * 1000",
    }
    panel = stat("Clock", now, unit="time:HH:mm:ss", show="value_and_name", filled=False)
    said = "One second of run time is one minute of the incident. The axes below show the wall clock."
    for name, unit in {"run time": "suffix: s", "incident time, UTC": "time:HH:mm"}.items():
        properties = [{"id": "unit", "value": unit}, {"id": "decimals", "value": 0}]
        panel["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": name}, "properties": properties}
        )
    return {**panel, "description": said}


def _success(title: str, now: str, said: str) -> Panel:
    good = steps((0, RED), (BROKEN, YELLOW), (GOOD, GREEN))
    return stat(title, {"success": now}, unit="percentunit", decimals=0, thresholds=good, description=said)


def provisioning_success() -> Panel:
    said = "Success ratio of provisioning attempts over 10 s, all regions. The first wave shows here."
    return _success("Provisioning success", provisioning(window="10s"), said)


def identity_success() -> Panel:
    said = "Success ratio of token request attempts over 5 s, all regions. The second wave shows here."
    return _success("Identity success", identity(), said)


def retries() -> Panel:
    said = "Attempts of the identity clients per operation started: 1 without retries."
    good = steps((0, GREEN), (1.2, YELLOW), (3, RED))
    now = {"attempts": amplification()}
    return stat("Attempts per operation", now, unit="none", decimals=1, thresholds=good, description=said)


def backlog() -> Panel:
    said = "Provisioning jobs that are queued, or blocked until their next attempt."
    good = steps((0, GREEN), (BACKLOG_LARGE, YELLOW), (200, RED))
    return stat(
        "Provisioning backlog", {"jobs": f"sum({BACKLOG})"}, unit="none", decimals=0, thresholds=good, description=said
    )


def pages() -> Panel:
    now = {"pages": known('count(ALERTS{alertstate="firing", severity="page"})')}
    said = "Firing alerts of severity `page`; one per alert and region."
    limits = steps((0, GREEN), (1, RED))
    return stat("Pages firing", now, unit="none", decimals=0, thresholds=limits, description=said)


def fullest() -> Panel:
    said = "Share of identity workers that are busy, in the region with the highest utilisation."
    limits = steps((0, GREEN), (0.8, YELLOW), (0.95, RED))
    return stat(
        "Peak identity utilisation",
        {"busy": f"max({busy('region')})"},
        unit="percentunit",
        decimals=0,
        thresholds=limits,
        description=said,
    )


def does_it_work() -> Panel:
    """A single query, so that the rows are sorted and both rows of a region are adjacent."""

    def named(what: str, ratio: str) -> str:
        return f'label_replace({ratio}, "what", "{what}", "", "")'

    rows = f"{named('provisioning', provisioning('region'))} or {named('identity', identity('region', '10s'))}"
    said = "Ok: at least 95 % of attempts succeed. Failing: fewer than half. Gap: no attempts."
    return timeline(
        "Success by region", {"{{region}} {{what}}": rows}, unit="percentunit", mappings=WORKS, description=said
    )


def alerts() -> Panel:
    said = "The number in a bar is the number of regions in which the alert fires. Red: pages. Orange: tickets."
    rows = {"{{alertname}}": f"count by (alertname) ({FIRING})", "total": known(f"count({FIRING})")}
    return timeline(
        "Firing alerts",
        rows,
        unit="none",
        mappings=spans((0, 0, "quiet", GREEN))[:1],
        colors={**ALERTS, "total": DARK},
        description=said,
    )


def work() -> Panel:
    rates = {
        "operations started": rate(STARTED),
        "attempts (offered load)": rate(ATTEMPTS, SDK),
        "goodput": rate(WORK, 'outcome="useful"'),
        "wasted work": rate(WORK, 'outcome="wasted"'),
    }
    said = "Goodput is work that nodes finish before the caller's timeout, wasted work what they finish after it."
    return lines(
        "Offered load, goodput, wasted work", rates, unit="reqps", bold=True, colors=WORK_COLORS, description=said
    )


def amplification_by_region() -> Panel:
    ratios = {"{{region}}": amplification("region", "10s")}
    alert = steps((3, RED), below="transparent")
    return lines("Attempts per operation by region", ratios, unit="none", bold=True, colors=REGIONS, thresholds=alert)


def backlog_by_region() -> Panel:
    jobs = {"{{region}}": f"sum by (region) ({BACKLOG})"}
    return lines("Provisioning backlog by region", jobs, unit="none", bold=True, stacked=True, colors=REGIONS)


def saturation_by_region() -> Panel:
    title = "Identity utilisation by region"
    return lines(title, {"{{region}}": busy("region")}, unit="percentunit", top=1, bold=True, colors=REGIONS)


def users() -> Panel:
    success = share("loadgen_operations_total", 'result="success"', by="tenant", window="30s")
    worst = {"{{tenant}}": f"bottomk(5, {success})"}
    good = steps((0, RED), (BROKEN, YELLOW), (GOOD, GREEN))
    said = "The five tenants with the lowest success ratio over 30 s."
    return bars("Lowest success by tenant", worst, unit="percentunit", thresholds=good, top=1, description=said)
