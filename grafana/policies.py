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
        row(8, not_let_in(), refused(), answers()),
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
    return lines("Share of attempts that are retries", ratios, unit="percentunit", top=1, colors=REGIONS)


def held_back() -> Panel:
    nothing = f'label_replace(0 * {rate(STARTED)}, "reason", "nothing held back", "", "")'
    rates = {"{{reason}}": f"{rate('identity_client_held_back_total', by='reason')} or {nothing}"}
    said = "Attempts held back by the caller's own retry budget, breaker or throttle. The incident has none of these."
    return lines("Held back by callers: budgets, breakers", rates, unit="reqps", colors=HELD_BACK, description=said)


def outcomes() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, SDK, "outcome")}
    return lines("Identity attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def results() -> Panel:
    rates = {"{{result}}": rate("identity_client_operations_total", by="result")}
    return lines("Identity operations by result", rates, unit="ops", stacked=True, colors=RESULTS)


def not_let_in() -> Panel:
    rates = {"{{reason}}": rate("router_shed_total", by="reason")}
    said = "Drain and ramp: set by an operator. Admission: a policy. No node: none is in rotation."
    return lines("Shed by routers, by reason", rates, unit="reqps", stacked=True, colors=SHED_REASONS, description=said)


def refused() -> Panel:
    rates = {"{{reason}}": rate("identity_rejected_total", by="reason")}
    return lines("Refused by nodes, by reason", rates, unit="reqps", stacked=True, colors=REFUSALS)


def answers() -> Panel:
    rates = {"{{code}}": rate("router_requests_total", by="code")}
    return lines("Answers of the routers by status", rates, unit="reqps", stacked=True, colors=CODES)


def limits() -> Panel:
    admitted = {"{{region}}": "max by (region) (router_admission_limit) < Inf"}
    said = "Admitted requests per second while an operator drains or ramps a region. Otherwise there is no limit."
    return lines("Admission limit", admitted, unit="reqps", colors=REGIONS, description=said)


def health() -> Panel:
    ratios = {"{{region}}": "avg by (region) (router_region_health_ratio)"}
    said = "Success ratio as seen by routers; below their threshold they send traffic to the paired region."
    return lines("Health of regions, to routers", ratios, unit="percentunit", top=1, colors=REGIONS, description=said)


def failover() -> Panel:
    itself = f'label_join(group by (home) ({SHARE}), "target", "", "home")'
    shares = {"{{home}}": f"1 - sum by (home) ({SHARE} and on (home, target) {itself})"}
    said = "Share of a region's requests sent to the paired region."
    return lines("Failover: share sent away", shares, unit="percentunit", top=1, colors=REGIONS, description=said)


def goodput() -> Panel:
    ratios = {"{{region}}": share(WORK, 'outcome="useful"', by="region", window="10s")}
    return lines("Goodput: useful share of work", ratios, unit="percentunit", top=1, colors=REGIONS)
