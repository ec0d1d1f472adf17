"""Dashboard 3: retries, budgets, breakers, load shedding, admission limits and failover."""

from typing import Any

from grafana.colors import (
    CODES,
    HELD_BACK,
    LAYERS,
    OUTCOMES,
    RED,
    REFUSALS,
    REGIONS,
    RESULTS,
    SHED_REASONS,
)
from grafana.panels import Panel, dashboard, lines, row, steps
from grafana.queries import ANNOTATIONS, ATTEMPTS, SDK, SLOW, STARTED, WORK, amplification, rate, ratio, share

SHARE = "router_region_share_ratio"
LAYER_OUTER = 'layer="workflow"'
ALERT = steps((3, RED), below="transparent")


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-policies",
        "3 · Policies and retries",
        "Retries, budgets, breakers, load shedding, admission limits and failover.",
        row(8, layers(), amplified(), retries()),
        row(8, held_back(), outcomes(), results()),
        row(8, shed(), refused(), answers()),
        row(8, limits(), health(), failover(), goodput()),
        annotations=ANNOTATIONS,
    )


def layers() -> Panel:
    """Two nested retry layers: the service sees the product of their attempts."""
    management = "loadgen_attempts_total"
    calls = f"({rate(management, LAYER_OUTER)} > 0)"
    ratios = {
        "{{layer}}": f"{rate(ATTEMPTS, by='layer')} / on () group_left () ({rate(STARTED)} > 0)",
        "management · sdk": f"{rate(management, SDK)} / {calls}",
    }
    said = "Attempts per operation by retry layer of the identity client; for management calls, attempts per call."
    return lines("Attempts per operation by layer", ratios, unit="none", colors=LAYERS, description=said)


def amplified() -> Panel:
    ratios = {"{{region}}": amplification("region", "10s")}
    return lines("Attempts per operation by region", ratios, unit="none", thresholds=ALERT, colors=REGIONS)


def retries() -> Panel:
    attempts, begun = rate(ATTEMPTS, SDK, "region", SLOW), rate(STARTED, by="region", window=SLOW)
    ratios = {"{{region}}": ratio(f"clamp_min({attempts} - {begun}, 0)", attempts)}
    return lines("Retry ratio by region", ratios, unit="percentunit", top=1, colors=REGIONS)


def held_back() -> Panel:
    nothing = f'label_replace(0 * {rate(STARTED)}, "reason", "none", "", "")'
    rates = {"{{reason}}": f"{rate('identity_client_held_back_total', by='reason')} or {nothing}"}
    said = "By the client's retry budget, circuit breaker or adaptive throttle. All are off in the incident."
    return lines("Attempts suppressed by clients, by reason", rates, unit="reqps", colors=HELD_BACK, description=said)


def outcomes() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, SDK, "outcome")}
    return lines("Identity attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def results() -> Panel:
    rates = {"{{result}}": rate("identity_client_operations_total", by="result")}
    return lines("Identity operations by result", rates, unit="ops", stacked=True, colors=RESULTS)


def shed() -> Panel:
    rates = {"{{reason}}": rate("router_shed_total", by="reason")}
    said = "Drain and ramp: set by an operator. Admission: a policy. No node: no node is in rotation."
    return lines(
        "Load shed by routers, by reason", rates, unit="reqps", stacked=True, colors=SHED_REASONS, description=said
    )


def refused() -> Panel:
    rates = {"{{reason}}": rate("identity_rejected_total", by="reason")}
    return lines("Requests rejected by nodes, by reason", rates, unit="reqps", stacked=True, colors=REFUSALS)


def answers() -> Panel:
    rates = {"{{code}}": rate("router_requests_total", by="code")}
    return lines("Router responses by status", rates, unit="reqps", stacked=True, colors=CODES)


def limits() -> Panel:
    admitted = {"{{region}}": "max by (region) (router_admission_limit) < Inf"}
    said = "Admitted requests per second while a region is drained or ramped up. Otherwise there is no limit."
    return lines("Admission limit", admitted, unit="reqps", colors=REGIONS, description=said)


def health() -> Panel:
    ratios = {"{{region}}": "avg by (region) (router_region_health_ratio)"}
    said = "Success ratio measured by the routers. Below the threshold they fail over to the paired region."
    return lines("Region health seen by routers", ratios, unit="percentunit", top=1, colors=REGIONS, description=said)


def failover() -> Panel:
    itself = f'label_join(group by (home) ({SHARE}), "target", "", "home")'
    shares = {"{{home}}": f"1 - sum by (home) ({SHARE} and on (home, target) {itself})"}
    said = "Share of a region's requests that its router sends to the paired region."
    return lines("Failover share by home region", shares, unit="percentunit", top=1, colors=REGIONS, description=said)


def goodput() -> Panel:
    ratios = {"{{region}}": share(WORK, 'outcome="useful"', by="region", window="10s")}
    return lines("Goodput ratio by region", ratios, unit="percentunit", top=1, colors=REGIONS)
