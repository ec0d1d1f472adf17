"""Dashboard 4: the cause side. Accounts, the policy job and its gate, what is injected, what fires."""

from typing import Any

from grafana.panels import GREEN, NORMAL, PURPLE, RED, Panel, dashboard, lines, row, stat, steps, table
from grafana.queries import ANNOTATIONS, EVENTS, rate, share

PRIVATE = 'blobstore_accounts{public="false", exempt="true"}'
TARGET_LABELS = ("__name__", "job", "service", "instance")


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-chaos",
        "4 · Chaos and remediation",
        "Which accounts are private and who made them so, what is injected, what fires.",
        row(6, wrongly_private(), refused(), faults(), inventory_age()),
        row(8, private_by_region(), accounts(), considered()),
        row(8, gate(), extension_errors(), effects()),
        row(8, alerts(), events()),
        annotations=ANNOTATIONS,
    )


def wrongly_private() -> Panel:
    now = {"accounts": f"sum({PRIVATE})"}
    return stat("Exempt accounts now private", now, unit="none", thresholds=steps(GREEN, (1, RED)))


def refused() -> Panel:
    now = {"refused": share("blobstore_requests_total", 'code="409"', 'auth="anonymous"')}
    limits = steps(GREEN, (0.05, RED))
    return stat("Anonymous downloads refused", now, unit="percentunit", decimals=0, thresholds=limits)


def faults() -> Panel:
    now = {"faults": "sum(controller_faults_active)"}
    return stat("Faults active", now, unit="none", thresholds=steps(GREEN, (1, PURPLE)))


def inventory_age() -> Panel:
    now = {"age": "max(remediation_inventory_age_seconds)"}
    said = "Of the oldest word in the policy job's latest snapshot."
    return stat("Age of the inventory", now, unit="s", description=said, size=NORMAL)


def private_by_region() -> Panel:
    counts = {"{{region}}": f"sum by (region) ({PRIVATE})"}
    return lines("Exempt accounts that are private, by region", counts, unit="none", stacked=True)


def accounts() -> Panel:
    counts = {"public {{public}}, exempt {{exempt}}": "sum by (public, exempt) (blobstore_accounts)"}
    return lines("Accounts, public and private", counts, unit="none", stacked=True)


def considered() -> Panel:
    counts = {"{{region}} {{result}}": "sum by (region, result) (remediation_accounts_total)"}
    return lines("Accounts that the policy job considered", counts, unit="none", stacked=True)


def gate() -> Panel:
    counts = {"{{decision}}: {{reason}}": "sum by (decision, reason) (remediation_gate_decisions_total)"}
    return lines("Decisions of the health gate", counts, unit="none")


def extension_errors() -> Panel:
    rates = {"{{code}}": rate("provisioner_extension_errors_total", by="code")}
    return lines("Extension errors by code", rates, unit="ops", stacked=True)


def effects() -> Panel:
    rates = {"{{service}} {{kind}}": rate("fault_effects_total", by="service, kind")}
    return lines("Requests changed by faults", rates, unit="reqps")


def alerts() -> Panel:
    return table("Alerts that fire", 'ALERTS{alertstate="firing"}', unit="none", hide=(*TARGET_LABELS, "Value"))


def events() -> Panel:
    title = "Actions, faults and alerts of this run"
    return table(title, f"{EVENTS} * 1000", unit="time:HH:mm:ss", hide=(*TARGET_LABELS, "region"))
