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
WORK_COLORS = {"operations begun": BLUE, "attempts offered": WHITE, "good work": GREEN, "wasted work": RED}
WORKS = spans((0.95, 1.001, "works", GREEN), (0.5, 0.95, "degraded", YELLOW), (-0.001, 0.5, "fails", RED))
FIRING = 'ALERTS{alertstate="firing"}'


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-incident",
        "1 · The incident at a glance",
        "The current state. One second here is one minute of the incident.",
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
        0: ("Everything works", GREEN),
        1: ("Provisioning fails", RED),
        2: ("Managed identities fail", RED),
        3: ("Provisioning and identities fail", RED),
        4: ("Works again; backlog", YELLOW),
        5: ("Provisioning fails", RED),
        6: ("Managed identities fail", RED),
        7: ("Provisioning and identities fail", RED),
    }
    said = "Fails: fewer than half of the attempts succeed in at least one region."
    now = {"state": f"{lost} + 2 * {blind} + 4 * {late}"}
    return stat("What is broken", now, unit="none", mappings=words(texts), description=said)


def last_action() -> Panel:
    said = "The last scripted action of operators or of the world."
    now = {"{{phase}}": "topk(1, timestamp(controller_run_phase))"}
    return stat("What was done last", now, unit="none", description=said, show="name", filled=False)


def clock() -> Panel:
    """The run's clocks, and this machine's clock, which the axes use."""
    now = {
        "seconds into the run": "max(controller_run_seconds)",
        "incident, UTC": "max(controller_incident_timestamp_seconds) * 1000",
        "this clock, UTC": "time() * 1000",
    }
    panel = stat("Clock", now, unit="time:HH:mm:ss", show="value_and_name", filled=False)
    said = "One second is one minute of the incident. The axes below show this machine's clock."
    for name, unit in {"seconds into the run": "suffix: s", "incident, UTC": "time:HH:mm"}.items():
        properties = [{"id": "unit", "value": unit}, {"id": "decimals", "value": 0}]
        panel["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": name}, "properties": properties}
        )
    return {**panel, "description": said}


def _success(title: str, now: str, said: str) -> Panel:
    good = steps((0, RED), (BROKEN, YELLOW), (GOOD, GREEN))
    return stat(title, {"success": now}, unit="percentunit", decimals=0, thresholds=good, description=said)


def provisioning_success() -> Panel:
    said = "Share of provisioning tries that succeed, all regions. Shows the first wave."
    return _success("Provisioning success", provisioning(window="10s"), said)


def identity_success() -> Panel:
    said = "Share of token attempts that succeed, all regions. Shows the second wave."
    return _success("Identity success", identity(), said)


def retries() -> Panel:
    said = "Attempts of the identity client per operation begun: 1 without retries."
    good = steps((0, GREEN), (1.2, YELLOW), (3, RED))
    now = {"attempts": amplification()}
    return stat("Attempts/operation", now, unit="none", decimals=1, thresholds=good, description=said)


def backlog() -> Panel:
    said = "Waiting provisioning jobs: queued, or blocked until their next try."
    good = steps((0, GREEN), (BACKLOG_LARGE, YELLOW), (200, RED))
    return stat("Jobs waiting", {"jobs": f"sum({BACKLOG})"}, unit="none", decimals=0, thresholds=good, description=said)


def pages() -> Panel:
    now = {"pages": known('count(ALERTS{alertstate="firing", severity="page"})')}
    said = "Firing alerts of severity `page`, counted per region."
    limits = steps((0, GREEN), (1, RED))
    return stat("Pages firing", now, unit="none", decimals=0, thresholds=limits, description=said)


def fullest() -> Panel:
    said = "Share of identity workers that are busy, in the busiest region."
    limits = steps((0, GREEN), (0.8, YELLOW), (0.95, RED))
    return stat(
        "Busiest identity",
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
    said = "Works: at least 95 % succeed. Fails: fewer than half. Gap: no attempts."
    return timeline(
        "Does it work?", {"{{region}} {{what}}": rows}, unit="percentunit", mappings=WORKS, description=said
    )


def alerts() -> Panel:
    said = "Number of regions in which each alert fires. Red: pages. Orange: tickets."
    rows = {"{{alertname}}": f"count by (alertname) ({FIRING})", "all together": known(f"count({FIRING})")}
    return timeline(
        "Alerts, and in how many regions",
        rows,
        unit="none",
        mappings=spans((0, 0, "quiet", GREEN))[:1],
        colors={**ALERTS, "all together": DARK},
        description=said,
    )


def work() -> Panel:
    rates = {
        "operations begun": rate(STARTED),
        "attempts offered": rate(ATTEMPTS, SDK),
        "good work": rate(WORK, 'outcome="useful"'),
        "wasted work": rate(WORK, 'outcome="wasted"'),
    }
    said = "Identity operations, the attempts that retries make of them, and the work that nodes finish in time."
    return lines("Offered, good and wasted work", rates, unit="reqps", bold=True, colors=WORK_COLORS, description=said)


def amplification_by_region() -> Panel:
    ratios = {"{{region}}": amplification("region", "10s")}
    alert = steps((3, RED), below="transparent")
    return lines("Attempts per operation by region", ratios, unit="none", bold=True, colors=REGIONS, thresholds=alert)


def backlog_by_region() -> Panel:
    jobs = {"{{region}}": f"sum by (region) ({BACKLOG})"}
    return lines("Jobs waiting by region", jobs, unit="none", bold=True, stacked=True, colors=REGIONS)


def saturation_by_region() -> Panel:
    title = "Identity workers busy by region"
    return lines(title, {"{{region}}": busy("region")}, unit="percentunit", top=1, bold=True, colors=REGIONS)


def users() -> Panel:
    success = share("loadgen_operations_total", 'result="success"', by="tenant", window="30s")
    worst = {"{{tenant}}": f"bottomk(5, {success})"}
    good = steps((0, RED), (BROKEN, YELLOW), (GOOD, GREEN))
    said = "The five tenants with the lowest success ratio, over 30 s."
    return bars("What users feel: the worst five", worst, unit="percentunit", thresholds=good, top=1, description=said)
