"""Dashboard 4, causes: the policy job and its health gate, accounts, faults, alerts, and the machine."""

from typing import Any

from grafana.colors import (
    ACCOUNTS,
    EVENT_KINDS,
    EXTENSION_ERRORS,
    FAULTS,
    GATE,
    GREEN,
    PURPLE,
    RED,
    REGIONS,
    RUNNERS,
    SERVICES,
    SEVERITIES,
    YELLOW,
    suffixed,
)
from grafana.panels import Panel, bars, dashboard, lines, row, stat, steps, table, timeline, words
from grafana.queries import ANNOTATIONS, ATTEMPTS, EVENTS, PRIVATE, SDK, rate, share

SLO_BUDGET = 0.001
BURN_LIMIT = 14.4
INCIDENT = "max(controller_incident_timestamp_seconds)"
CLOCK = "max(timestamp(controller_incident_timestamp_seconds))"
"""The time of the sample of `INCIDENT`; after the end of a run it is in the past."""


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-chaos",
        "4 · Chaos and remediation",
        "Policy job and its health gate, injected faults, alerts, effects on tenants, event loop lag.",
        row(3, wrongly_private(), refused(), faults(), unchecked(), inventory_age(), stalled()),
        row(7, gate(), private_by_region(), considered(), widths=(10, 7, 7)),
        row(7, burn(), extension_errors(), injected(), effects()),
        row(7, users(), runners(), machine(), widths=(8, 8, 8)),
        row(9, alerts(), events(), widths=(11, 13)),
        annotations=ANNOTATIONS,
    )


def wrongly_private() -> Panel:
    now = {"accounts": f"sum({PRIVATE})"}
    said = "Accounts that are exempt from the policy and yet private: extension downloads from them fail."
    limits = steps((0, GREEN), (1, RED))
    return stat("Exempt accounts private", now, unit="none", thresholds=limits, description=said)


def refused() -> Panel:
    now = {"refused": share("blobstore_requests_total", 'code="409"', 'auth="anonymous"')}
    limits = steps((0, GREEN), (0.05, RED))
    said = "Share of anonymous downloads answered with 409: public access is not permitted on the account."
    return stat("Downloads refused (409)", now, unit="percentunit", decimals=0, thresholds=limits, description=said)


def faults() -> Panel:
    now = {"faults": "sum(controller_faults_active)"}
    return stat("Active faults", now, unit="none", thresholds=steps((0, GREEN), (1, PURPLE)))


def unchecked() -> Panel:
    now = {"decisions": 'sum(remediation_gate_decisions_total{decision="proceed", reason="no_data"})'}
    said = "Health gate decisions to proceed without data: the root cause of the incident."
    limits = steps((0, GREEN), (1, RED))
    return stat("Gate passes without data", now, unit="none", thresholds=limits, description=said)


def inventory_age() -> Panel:
    now = {"age": "max(remediation_inventory_age_seconds)"}
    said = "Age of the oldest record in the latest inventory snapshot of the policy job. No data: no snapshot yet."
    limits = steps((0, GREEN), (30, YELLOW), (60, RED))
    return stat("Inventory snapshot age", now, unit="s", decimals=0, description=said, thresholds=limits)


def stalled() -> Panel:
    now = {"stalled": "max(increase(process_stall_seconds_total[60s]))"}
    said = "Longest stall of a process in the last 60 s. Causes: an overloaded or suspended host, or an injected fault."
    limits = steps((0, GREEN), (0.25, YELLOW), (1, RED))
    return stat("Longest stall (60 s)", now, unit="s", decimals=1, description=said, thresholds=limits)


def gate() -> Panel:
    decided = "sum by (decision, reason) (increase(remediation_gate_decisions_total[5s]))"
    said = "Decisions before the next region of the rollout. Proceeding without data is the root cause of the incident."
    return timeline(
        "Health gate decisions",
        {"{{decision}}: {{reason}}": f"({decided} > bool 0) > 0 or 0 * {decided}"},
        unit="none",
        mappings=words({0: (" ", "transparent"), 1: ("decided", "")}),
        colors=GATE,
        description=said,
    )


def private_by_region() -> Panel:
    counts = {"{{region}}": f"sum by (region) ({PRIVATE})"}
    return lines("Exempt accounts private, by region", counts, unit="none", stacked=True, colors=REGIONS)


def considered() -> Panel:
    counts = {"{{result}}": "sum by (result) (remediation_accounts_total)"}
    said = "Accounts processed since the start of the policy job."
    return lines("Policy job: accounts by result", counts, unit="none", colors=ACCOUNTS, description=said)


def burn() -> Panel:
    errors = share(ATTEMPTS, 'outcome!="ok"', SDK, "region", "60s")
    rates = {"{{region}}": f"({errors}) / {SLO_BUDGET}"}
    limit = steps((BURN_LIMIT, RED), below="transparent")
    said = "Burn rate of the error budget of a 99.9 % SLO on token requests, over 60 s. The alert threshold is 14.4."
    return lines(
        "Error budget burn rate by region",
        rates,
        unit="none",
        colors=REGIONS,
        thresholds=limit,
        log=True,
        description=said,
    )


def extension_errors() -> Panel:
    rates = {"{{code}}": rate("provisioner_extension_errors_total", by="code")}
    return lines("Extension errors by code", rates, unit="ops", stacked=True, colors=EXTENSION_ERRORS)


def injected() -> Panel:
    counts = {
        "total": "sum(controller_faults_active)",
        "{{kind}}": "sum by (kind) (controller_faults_active) > 0",
    }
    return lines("Active faults by kind", counts, unit="none", colors=FAULTS)


def effects() -> Panel:
    rates = {"{{service}} {{kind}}": f"{rate('fault_effects_total', by='service, kind')} > 0"}
    nothing = {"total": rate("fault_effects_total")}
    said = "Requests delayed, refused or dropped by injected faults."
    return lines(
        "Requests affected by faults",
        {**nothing, **rates},
        unit="reqps",
        colors=suffixed(FAULTS),
        description=said,
    )


def users() -> Panel:
    success = share("loadgen_operations_total", 'result="success"', by="tenant", window="30s")
    worst = {"{{tenant}}": f"sort(bottomk(5, {success}))"}
    good = steps((0, RED), (0.5, YELLOW), (0.95, GREEN))
    said = "The five tenants with the lowest success ratio over 30 s."
    return bars("Lowest success by tenant", worst, unit="percentunit", thresholds=good, top=1, description=said)


def runners() -> Panel:
    counts = {"{{state}}": "sum by (state) (loadgen_runners)"}
    said = "Wanted: Actions jobs that wait for a runner. Ordered: runners being provisioned."
    return lines("Hosted runners by state", counts, unit="none", colors=RUNNERS, description=said)


def machine() -> Panel:
    lag = {"{{service}}": "max by (service) (process_event_loop_lag_seconds)"}
    said = "Largest lag per service. A lag of all services at once means an overloaded or suspended host."
    return lines("Event loop lag by service", lag, unit="s", colors=SERVICES, description=said)


def alerts() -> Panel:
    columns = ("severity", "alertname", "region", "service")
    now = f'count by ({", ".join(columns)}) (ALERTS{{alertstate="firing"}})'
    return table(
        "Firing alerts",
        {"alerts": now},
        columns=columns,
        hide=["Value"],
        colors={"severity": SEVERITIES},
        widths={"severity": 90},
    )


def events() -> Panel:
    """Shows both clocks: this machine's, as on the axes, and the incident's, as in the report."""
    each = f"max by (kind, title) ({EVENTS})"
    there = f"(60 * {each} + on () group_left () ({INCIDENT} - 60 * {CLOCK})) * 1000"
    return table(
        "Events: actions, faults, alerts",
        {"clock": f"{each} * 1000", "incident": there},
        columns=("clock", "incident", "kind", "title"),
        rename={"Value #A": "clock", "Value #B": "incident"},
        units={"clock": "time:HH:mm:ss", "incident": "time:HH:mm"},
        colors={"kind": EVENT_KINDS},
        widths={"clock": 90, "incident": 90, "kind": 80},
        newest="clock",
    )
