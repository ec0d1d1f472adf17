"""Dashboard 3: retries, budgets, breakers, admission: who asks again, who holds back, who is turned away."""

from typing import Any

from grafana.panels import OUTCOMES, RED, Panel, dashboard, lines, row, steps
from grafana.queries import ANNOTATIONS, ATTEMPTS, SDK, STARTED, WORK, amplification, rate, ratio, share


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-policies",
        "3 · Policies and retries",
        "Who asks again, who holds back, who is turned away.",
        row(8, retry_amplification(), retry_share(), layers()),
        row(8, held_back(), outcomes(), results()),
        row(8, admission(), not_let_in(), refused()),
        row(8, goodput(), traffic(), answers()),
        annotations=ANNOTATIONS,
    )


def retry_amplification() -> Panel:
    ratios = {"{{region}}": amplification("region")}
    alert = steps("transparent", (3, RED))
    return lines("Amplification by region", ratios, unit="none", thresholds=alert)


def retry_share() -> Panel:
    attempts, begun = rate(ATTEMPTS, SDK, "region"), rate(STARTED, by="region")
    ratios = {"{{region}}": ratio(f"clamp_min({attempts} - {begun}, 0)", attempts)}
    return lines("Share of attempts that are retries", ratios, unit="percentunit", top=1)


def layers() -> Panel:
    rates = {
        "identity · {{layer}}": rate(ATTEMPTS, by="layer"),
        "management · {{layer}}": rate("loadgen_attempts_total", by="layer"),
    }
    return lines("Attempts by layer of retry", rates, unit="reqps")


def held_back() -> Panel:
    rates = {"{{region}}": ratio(rate(ATTEMPTS, 'outcome="shed"', "region"), rate(ATTEMPTS, by="region"))}
    said = "Stopped by the caller's own retry budget or breaker before it reached the network."
    return lines("Share of attempts that callers held back", rates, unit="percentunit", top=1, description=said)


def outcomes() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, SDK, "outcome")}
    return lines("Identity attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def results() -> Panel:
    rates = {"{{result}}": rate("identity_client_operations_total", by="result")}
    return lines("Identity operations by result", rates, unit="ops", stacked=True)


def admission() -> Panel:
    limits = {"{{region}}": "max by (region) (router_admission_limit)"}
    return lines("Admission limit of the routers", limits, unit="short")


def not_let_in() -> Panel:
    rates = {"{{region}} {{reason}}": rate("router_shed_total", by="region, reason")}
    return lines("Requests that routers did not let in", rates, unit="reqps", stacked=True)


def refused() -> Panel:
    rates = {"{{region}} {{reason}}": rate("identity_rejected_total", by="region, reason")}
    return lines("Requests that nodes refused", rates, unit="reqps", stacked=True)


def goodput() -> Panel:
    ratios = {"{{region}}": share(WORK, 'outcome="useful"', by="region")}
    return lines("Goodput: share of finished work that is useful", ratios, unit="percentunit", top=1)


def traffic() -> Panel:
    rates = {"{{home}} to {{region}}": rate("router_requests_total", by="home, region")}
    return lines("Traffic between regions", rates, unit="reqps")


def answers() -> Panel:
    rates = {"{{code}}": rate("router_requests_total", by="code")}
    return lines("Answers of the routers by status", rates, unit="reqps", stacked=True)
