"""Dashboard 2: one region by the golden signals (rate, errors, duration, saturation), for each service.

Storage and compute are affected by the first wave, identity and router by the second.
"""

from typing import Any

from grafana.colors import (
    BLUE,
    CODES,
    CYAN,
    GREEN,
    GREY,
    JOB_STATES,
    ORANGE,
    OUTCOMES,
    PERCENTILES,
    PURPLE,
    RED,
    REFUSALS,
    REGIONS,
    TRIES,
    YELLOW,
    Colors,
    suffixed,
)
from grafana.panels import Panel, dashboard, lines, row, stat, steps, variable
from grafana.queries import (
    ANNOTATIONS,
    ATTEMPTS,
    BACKLOG,
    SDK,
    SLOW,
    WORK,
    both,
    busy,
    identity,
    percentiles,
    provisioning,
    rate,
    ratio,
    share,
)
from grafana.runs import of_run

HERE = 'region="$region"'
HOME = 'home="$region"'
REGION = variable("region", f"label_values({of_run('identity_workers')}, region)", default="eastus")
FAILED = 'code=~"[45].."'
DURATION = "http_request_duration_seconds"
IN_FLIGHT = "http_requests_in_flight"
ERRORS = {"errors": RED}


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-region",
        "2 · Region",
        "One region by the golden signals: rate, errors, duration, saturation of storage, compute, identity, router.",
        row(3, provisioning_here(), identity_here(), backlog_here(), busy_here(), nodes_here(), oldest_here()),
        row(6, *storage()),
        row(6, *compute()),
        row(6, *identity_service()),
        row(6, *router()),
        row(6, callers(), routing(), refused(), nodes()),
        annotations=ANNOTATIONS,
        variables=[REGION],
    )


def _good(title: str, now: str) -> Panel:
    limits = steps((0, RED), (0.5, YELLOW), (0.95, GREEN))
    return stat(title, {"success": now}, unit="percentunit", decimals=0, thresholds=limits)


def provisioning_here() -> Panel:
    return _good("Provisioning success", provisioning(among=HERE))


def identity_here() -> Panel:
    return _good("Identity success", identity(window="10s", among=HERE))


def backlog_here() -> Panel:
    jobs = {"jobs": f"sum({BACKLOG.replace('{', '{' + HERE + ', ', 1)})"}
    return stat(
        "Provisioning backlog", jobs, unit="none", decimals=0, thresholds=steps((0, GREEN), (20, YELLOW), (100, RED))
    )


def busy_here() -> Panel:
    limits = steps((0, GREEN), (0.8, YELLOW), (0.95, RED))
    return stat("Identity utilisation", {"busy": busy(among=HERE)}, unit="percentunit", decimals=0, thresholds=limits)


def nodes_here() -> Panel:
    """Counts nodes that are down; the number of nodes itself has no good or bad value."""
    down = {"down": f"count(identity_node_up{{{HERE}}} == 0) or 0 * count(identity_node_up{{{HERE}}})"}
    limits = steps((0, GREEN), (1, RED))
    return stat("Identity nodes down", down, unit="none", decimals=0, thresholds=limits)


def oldest_here() -> Panel:
    age = {"age": f"max(provisioner_oldest_job_age_seconds{{{HERE}}})"}
    limits = steps((0, GREEN), (15, YELLOW), (30, RED))
    return stat("Oldest job age", age, unit="s", decimals=0, thresholds=limits)


def _rate(title: str, rates: dict[str, str], colors: Colors, said: str = "") -> Panel:
    return lines(f"{title}: rate", rates, unit="reqps", stacked=True, colors=colors, description=said)


def _errors(title: str, errors: str, said: str = "") -> Panel:
    return lines(f"{title}: errors", {"errors": errors}, unit="percentunit", top=1, colors=ERRORS, description=said)


def _duration(title: str, histogram: str, matchers: str, said: str = "") -> Panel:
    return lines(f"{title}: duration", percentiles(histogram, matchers), unit="s", colors=PERCENTILES, description=said)


def _saturation(title: str, uses: dict[str, str], unit: str, said: str = "", top: float | None = None) -> Panel:
    colors = dict(zip(uses, (BLUE, PURPLE), strict=False))
    return lines(f"{title}: saturation", uses, unit=unit, colors=colors, description=said, top=top)


def storage() -> list[Panel]:
    requests, here = "blobstore_requests_total", both(HERE, 'service="blobstore"')
    return [
        _rate("Storage", {"{{code}}": rate(requests, HERE, "code")}, CODES, "Downloads and uploads by status."),
        _errors("Storage", share(requests, FAILED, HERE), "409: public access is not permitted on the account."),
        _duration("Storage", DURATION, here),
        _saturation("Storage", {"in-flight requests": f"sum({IN_FLIGHT}{{{here}}})"}, "none"),
    ]


def compute() -> list[Panel]:
    tries = "provisioner_job_tries_total"
    return [
        _rate(
            "Compute", {"{{result}}": rate(tries, HERE, "result")}, TRIES, "Attempts of provisioning jobs by result."
        ),
        _errors("Compute", share(tries, 'result!="done"', HERE, window=SLOW)),
        _duration("Compute", "provisioner_job_duration_seconds", HERE, "From acceptance of a job to its end."),
        lines(
            "Compute: saturation",
            {
                "{{state}}": f"sum by (state) (provisioner_jobs{{{HERE}}})",
                "job slots": f"sum(provisioner_slots{{{HERE}}})",
            },
            unit="none",
            colors={**JOB_STATES, "job slots": GREY},
            description="Jobs by state, and the number of job slots.",
        ),
    ]


def identity_service() -> list[Panel]:
    requests = "identity_requests_total"
    uses = {
        "worker utilisation": busy(among=HERE),
        "queue fill": f"sum(identity_queue_length{{{HERE}}}) / sum(identity_queue_capacity{{{HERE}}})",
    }
    wasted = share(WORK, 'outcome="wasted"', HERE)
    return [
        _rate("Identity", {"{{code}}": rate(requests, HERE, "code")}, CODES, "Responses of the nodes by status."),
        lines(
            "Identity: errors",
            {"rejected": share(requests, FAILED, HERE), "wasted": wasted},
            unit="percentunit",
            top=1,
            colors={"rejected": ORANGE, "wasted": RED},
            description="Rejected: answered with an error. Wasted: finished after the caller's timeout.",
        ),
        _duration("Identity", "identity_request_duration_seconds", HERE, "From arrival at a node to completion."),
        _saturation("Identity", uses, "percentunit", top=1),
    ]


def router() -> list[Panel]:
    requests, here = "router_requests_total", both(HERE, 'service="router"')
    shed = rate("router_shed_total", 'instance="router-$region"')
    answered, failed = rate(requests, HOME), rate(requests, both(HOME, FAILED))
    uses = {
        "in-flight requests": f"sum({IN_FLIGHT}{{{here}}})",
        "admission limit, per s": f"max(router_admission_limit{{{HERE}}}) < Inf",
    }
    return [
        _rate(
            "Router",
            {"{{code}}": rate(requests, HOME, "code"), "shed": shed},
            {**CODES, "shed": PURPLE},
            "Requests from this region by status, and load shed.",
        ),
        _errors("Router", ratio(f"({failed} + {shed} or {shed})", f"({answered} + {shed} or {shed})")),
        _duration("Router", DURATION, here),
        _saturation(
            "Router", uses, "none", "There is an admission limit only while the region is drained or ramped up."
        ),
    ]


def callers() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, both(SDK, HERE), "outcome")}
    return lines("Client attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def refused() -> Panel:
    rates = {"{{reason}}": rate("identity_rejected_total", HERE, "reason")}
    return lines("Requests rejected by nodes, by reason", rates, unit="reqps", stacked=True, colors=REFUSALS)


def nodes() -> Panel:
    counts = {
        "up": f"sum(identity_node_up{{{HERE}}})",
        "warm": f"sum(identity_cache_warm_ratio{{{HERE}}})",
        "restarts in 10 s": f"sum(increase(identity_node_restarts_total{{{HERE}}}[10s]))",
    }
    colors = {"up": BLUE, "warm": CYAN, "restarts in 10 s": RED}
    return lines("Identity nodes: up, warm, restarts", counts, unit="none", colors=colors)


def routing() -> Panel:
    ratios = {"to {{target}}": 'sum by (target) (router_region_share_ratio{home="$region"})'}
    return lines("Request routing by target region", ratios, unit="percentunit", top=1, colors=suffixed(REGIONS))
