"""Dashboard 2: one region, from its users down to its packages."""

from typing import Any

from grafana.panels import GREEN, GREY, OUTCOMES, RED, Panel, dashboard, lines, row, variable
from grafana.queries import ANNOTATIONS, ATTEMPTS, SDK, WORK, both, quantile, rate

HERE = 'region="$region"'
REGION = variable("region", "label_values(identity_workers, region)", default="eastus")


def build() -> dict[str, Any]:
    return dashboard(
        "aftershock-region",
        "2 · Region",
        "One region, from its users down to its packages.",
        row(8, attempts(), routing()),
        row(8, queues(), workers(), nodes()),
        row(8, waits(), work(), refused()),
        row(8, jobs(), oldest_job(), downloads()),
        annotations=ANNOTATIONS,
        variables=[REGION],
    )


def attempts() -> Panel:
    rates = {"{{outcome}}": rate(ATTEMPTS, both(SDK, HERE), "outcome")}
    return lines("Identity attempts by outcome", rates, unit="reqps", stacked=True, colors=OUTCOMES)


def routing() -> Panel:
    ratios = {
        "share to {{target}}": 'sum by (target) (router_region_share_ratio{home="$region"})',
        "health of {{region}}": "avg by (region) (router_region_health_ratio)",
    }
    return lines("Where this region's requests go", ratios, unit="percentunit", top=1)


def queues() -> Panel:
    lengths = {
        "{{instance}}": f"identity_queue_length{{{HERE}}}",
        "capacity": f"max(identity_queue_capacity{{{HERE}}})",
    }
    return lines("Queue length by node", lengths, unit="short", colors={"capacity": GREY})


def workers() -> Panel:
    counts = {
        "{{instance}}": f"identity_workers_busy{{{HERE}}}",
        "workers of a node": f"max(identity_workers{{{HERE}}})",
    }
    return lines("Workers busy by node", counts, unit="short", colors={"workers of a node": GREY})


def nodes() -> Panel:
    counts = {
        "nodes up": f"sum(identity_node_up{{{HERE}}})",
        "warm nodes": f"sum(identity_cache_warm_ratio{{{HERE}}})",
        "restarts in 10 s": f"sum(increase(identity_node_restarts_total{{{HERE}}}[10s]))",
    }
    return lines("Nodes: up, and how warm", counts, unit="none")


def waits() -> Panel:
    seconds = {
        "median": quantile(0.5, "identity_queue_wait_seconds", HERE),
        "99th percentile": quantile(0.99, "identity_queue_wait_seconds", HERE),
    }
    return lines("Wait for a worker", seconds, unit="s")


def work() -> Panel:
    rates = {"{{outcome}}": rate(WORK, HERE, "outcome")}
    colors = {"useful": GREEN, "wasted": RED}
    return lines("Work: good and wasted", rates, unit="reqps", stacked=True, colors=colors)


def refused() -> Panel:
    rates = {"{{reason}}": rate("identity_rejected_total", HERE, "reason")}
    return lines("Requests that nodes refused", rates, unit="reqps", stacked=True)


def jobs() -> Panel:
    counts = {"{{state}}": f"sum by (state) (provisioner_jobs{{{HERE}}})"}
    return lines("Provisioning jobs by state", counts, unit="short", stacked=True)


def oldest_job() -> Panel:
    age = {"oldest": f"max(provisioner_oldest_job_age_seconds{{{HERE}}})"}
    return lines("Age of the oldest job", age, unit="s")


def downloads() -> Panel:
    rates = {"{{auth}} {{code}}": rate("blobstore_requests_total", HERE, "auth, code")}
    return lines("Package downloads by status", rates, unit="reqps", stacked=True)
