"""PromQL that several dashboards share. Rates are over 5 s: five scrapes, and five minutes of the incident."""

from grafana.panels import BLUE, PURPLE, RED, annotation

ATTEMPTS = "identity_client_attempts_total"
STARTED = "identity_client_operations_started_total"
WORK = "identity_work_completed_total"
SDK = 'layer="sdk"'
EVENTS = "controller_event_timestamp_seconds"

ANNOTATIONS = [
    annotation("Actions", f'{EVENTS}{{kind="action"}} * 1000', BLUE, "{{id}}", "{{title}}", value_is_time=True),
    annotation("Faults", f'{EVENTS}{{kind="fault"}} * 1000', PURPLE, "{{id}}", "{{title}}", value_is_time=True),
    annotation("Alerts", 'ALERTS{alertstate="firing"}', RED, "{{alertname}}", "{{region}}", value_is_time=False),
]


def both(*matchers: str) -> str:
    return ", ".join(matcher for matcher in matchers if matcher)


def rate(metric: str, matchers: str = "", by: str = "") -> str:
    """Summed per-second rate of a counter."""
    selector = f"{metric}{{{matchers}}}" if matchers else metric
    return f"sum{f' by ({by})' if by else ''} (rate({selector}[5s]))"


def ratio(part: str, whole: str) -> str:
    """`part / whole`; 0 where there is no part, nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def share(metric: str, part: str, among: str = "", by: str = "") -> str:
    """What part of a counter's rate matches `part`, among what matches `among`."""
    return ratio(rate(metric, both(among, part), by), rate(metric, among, by))


def amplification(by: str = "") -> str:
    """Attempts per operation begun."""
    return f"{rate(ATTEMPTS, SDK, by)} / ({rate(STARTED, by=by)} > 0)"


def quantile(q: float, histogram: str, matchers: str) -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', matchers, 'le')})"
