"""Dashboard 3: retries, budgets, breakers, shedding: who asks again, who holds back, who is turned away."""

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
        "Who asks again, who holds back, who is turned away.",
        row(8, layers(), amplified(), retries()),
        row(8, held_back(), outcomes(), results()),
        row(8, not_let_in(), refused(), answers()),
        row(8, limits(), health(), failover(), goodput()),
        annotations=ANNOTATIONS,
    )


def layers() -> Panel:
    """Two retry layers, one round the other: their product is what the service sees."""
    management = "loadgen_attempts_total"
    calls = f"({rate(management, LAYER_OUTER)} > 0)"
    ratios = {
        "{{layer}}": f"{rate(ATTEMPTS, by='layer')} / on () group_left () ({rate(STARTED)} > 0)",
        "management · sdk": f"{rate(management, SDK)} / {calls}",
    }
    said = "Attempts of each retry layer of the identity client for each operation; of management calls for each call."
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
    said = (
        "Attempts that a caller's own retry budget, breaker or throttle did not let out. The incident has none of them."
    )
    return lines("Held back by callers: budgets, breakers", rates, unit="reqps", colors=HELD_BACK, description=said)


def outcomes() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, SDK, "outcome")}
    return lines("Identity attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def results() -> Panel:
    rates = {"{{result}}": rate("identity_client_operations_total", by="result")}
    return lines("Identity operations by result", rates, unit="ops", stacked=True, colors=RESULTS)


def not_let_in() -> Panel:
    rates = {"{{reason}}": rate("router_shed_total", by="reason")}
    said = "Drain and ramp are operators' doing; admission is a policy; no node means that none is in rotation."
    return lines("Shed by routers, by reason", rates, unit="reqps", stacked=True, colors=SHED_REASONS, description=said)


def refused() -> Panel:
    rates = {"{{reason}}": rate("identity_rejected_total", by="reason")}
    return lines("Refused by nodes, by reason", rates, unit="reqps", stacked=True, colors=REFUSALS)


def answers() -> Panel:
    rates = {"{{code}}": rate("router_requests_total", by="code")}
    return lines("Answers of the routers by status", rates, unit="reqps", stacked=True, colors=CODES)


def limits() -> Panel:
    admitted = {"{{region}}": "max by (region) (router_admission_limit) < Inf"}
    said = "Requests a second let into a region, while an operator drains or ramps it. Otherwise there is no limit."
    return lines("Admission limit", admitted, unit="reqps", colors=REGIONS, description=said)


def health() -> Panel:
    ratios = {"{{region}}": "avg by (region) (router_region_health_ratio)"}
    said = "Success ratio that routers see; below their limit they send to the paired region."
    return lines("Health of regions, to routers", ratios, unit="percentunit", top=1, colors=REGIONS, description=said)


def failover() -> Panel:
    itself = f'label_join(group by (home) ({SHARE}), "target", "", "home")'
    shares = {"{{home}}": f"1 - sum by (home) ({SHARE} and on (home, target) {itself})"}
    said = "Share of a region's requests that its router sends to the paired region."
    return lines("Failover: share sent away", shares, unit="percentunit", top=1, colors=REGIONS, description=said)


def goodput() -> Panel:
    ratios = {"{{region}}": share(WORK, 'outcome="useful"', by="region", window="10s")}
    return lines("Goodput: useful share of work", ratios, unit="percentunit", top=1, colors=REGIONS)
