"""PromQL shared by several dashboards. Rates are over 5 s: five scrapes, five minutes of the incident."""

from grafana.colors import BLUE, PINK, PURPLE
from grafana.panels import annotation

ATTEMPTS = "identity_client_attempts_total"
STARTED = "identity_client_operations_started_total"
WORK = "identity_work_completed_total"
TRIES = "provisioner_job_tries_total"
ACCOUNTS = "blobstore_accounts"
PRIVATE = f'{ACCOUNTS}{{public="false", exempt="true"}}'
BACKLOG = 'provisioner_jobs{state=~"queued|blocked"}'
SDK = 'layer="sdk"'
EVENTS = "controller_event_timestamp_seconds"
WINDOW = "5s"
SLOW = "15s"
"""Window for rare events: control regions start a job every three seconds."""
ALIVE = "count(identity_node_up)"
"""Present as long as any node is scraped; turns an empty count into 0 then, and into no data otherwise."""

ANNOTATIONS = [
    annotation("Actions", f'{EVENTS}{{kind="action", line="yes"}} * 1000', BLUE, "{{title}}", "{{id}}"),
    annotation("Faults", f'{EVENTS}{{kind="fault"}} * 1000', PURPLE, "{{title}}", "{{id}}"),
    annotation("Stalls", f'{EVENTS}{{kind=~"stall|collapse"}} * 1000', PINK, "{{title}}", "{{id}}"),
]


def both(*matchers: str) -> str:
    return ", ".join(matcher for matcher in matchers if matcher)


def rate(metric: str, matchers: str = "", by: str = "", window: str = WINDOW) -> str:
    """Summed per-second rate of a counter."""
    selector = f"{metric}{{{matchers}}}" if matchers else metric
    return f"sum{f' by ({by})' if by else ''} (rate({selector}[{window}]))"


def ratio(part: str, whole: str) -> str:
    """`part / whole`; 0 if `part` is missing, no data if `whole` is missing or 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def share(metric: str, part: str, among: str = "", by: str = "", window: str = WINDOW) -> str:
    """The share of a counter's rate that matches `part`, among the series that match `among`."""
    return ratio(rate(metric, both(among, part), by, window), rate(metric, among, by, window))


def provisioning(by: str = "", window: str = SLOW, among: str = "") -> str:
    """Share of provisioning tries that succeed; drops in the first wave."""
    return share(TRIES, 'result="done"', among, by, window)


def identity(by: str = "", window: str = WINDOW, among: str = "") -> str:
    """Share of identity attempts that succeed; drops in the second wave."""
    return share(ATTEMPTS, 'outcome="ok"', both(SDK, among), by, window)


def amplification(by: str = "", window: str = WINDOW) -> str:
    """Attempts per operation started."""
    return f"{rate(ATTEMPTS, SDK, by, window)} / ({rate(STARTED, by=by, window=window)} > 0)"


def busy(by: str = "", among: str = "") -> str:
    """Share of busy identity workers, averaged over 10 s because single samples fluctuate."""
    group = f" by ({by})" if by else ""
    matchers = f"{{{among}}}" if among else ""
    return (
        f"sum{group} (avg_over_time(identity_workers_busy{matchers}[10s]))"
        f" / sum{group} (avg_over_time(identity_workers{matchers}[10s]))"
    )


def known(expression: str) -> str:
    """0 instead of no data, as long as any node is scraped."""
    return f"({expression} or 0 * {ALIVE})"


def quantile(q: float, histogram: str, matchers: str) -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', matchers, 'le')})"


def percentiles(histogram: str, matchers: str) -> dict[str, str]:
    return {f"p{q * 100:.0f}": quantile(q, histogram, matchers) for q in (0.5, 0.95, 0.99)}
