"""Fixed colours, the same on every dashboard.

Red, yellow, orange and green are reserved for results, states, status codes and severities. Regions, layers, services
and kinds use the other colours. A name that is not listed here is drawn in a shade of grey.
"""

from collections.abc import Mapping

from chaos.experiment.alerts import default_alerts

GREEN, YELLOW, ORANGE, RED = "#56A64B", "#F2CC0C", "#FF780A", "#E02F44"
BLUE, PURPLE, CYAN, PINK, WHITE = "#3E8BFF", "#A352CC", "#1FC8DB", "#FF7AC6", "#E6E8EB"
LILAC, NAVY = "#C9B6FF", "#5C6BC0"
GREY, DARK = "#8E8E8E", "#3A3D44"

Colors = Mapping[str, str]
"""Colours by legend; a legend between slashes is a regular expression."""

REGIONS: Colors = {
    "centraluseuap": CYAN,
    "eastus": BLUE,
    "westus": PURPLE,
    "northeurope": PINK,
    "southeastasia": WHITE,
    "australiaeast": LILAC,
}
SERVICES: Colors = {
    "blobstore": LILAC,
    "provisioner": CYAN,
    "identity": BLUE,
    "router": PURPLE,
    "loadgen": PINK,
    "controller": WHITE,
}
OUTCOMES: Colors = {"ok": GREEN, "timeout": RED, "throttled": YELLOW, "error": ORANGE, "shed": PURPLE}
RESULTS: Colors = {"success": GREEN, "failed": RED, "abandoned": ORANGE}
WORK: Colors = {"useful": GREEN, "wasted": RED}
TRIES: Colors = {"done": GREEN, "blocked": RED, "identity_failed": ORANGE}
JOB_STATES: Colors = {"running": BLUE, "queued": YELLOW, "blocked": RED}
CODES: Colors = {
    "200": GREEN,
    "201": "#96D98D",
    "/^20[2-9]/": "#37872D",
    "/^(3|404)/": GREY,
    "/^(400|401|403|412|416)/": YELLOW,
    "/^409/": RED,
    "/^429/": YELLOW,
    "/^500/": RED,
    "/^502/": ORANGE,
    "/^503/": PURPLE,
    "/^504/": RED,
}
EXTENSION_ERRORS: Colors = {"VMExtensionProvisioningError": RED, "VMArtifactRepositoryInternalError": ORANGE}
SHED_REASONS: Colors = {"drain": WHITE, "ramp": BLUE, "admission": PURPLE, "no_node": RED}
REFUSALS: Colors = {
    "queue_full": RED,
    "crash": ORANGE,
    "deadline": CYAN,
    "throttle": PINK,
    "priority": PURPLE,
    "limit": BLUE,
}
HELD_BACK: Colors = {"budget": CYAN, "breaker": PURPLE, "throttle": PINK, "none": GREY}
LAYERS: Colors = {"sdk": BLUE, "workflow": PURPLE, "management · sdk": CYAN}
PERCENTILES: Colors = {"p50": LILAC, "p95": PURPLE, "p99": PINK}
ACCOUNTS: Colors = {"changed": BLUE, "skipped_exempt": GREY, "wrongly_targeted": RED}
GATE: Colors = {
    "proceed: healthy": GREEN,
    "proceed: no_data": RED,
    "proceed: own_success": RED,
    "hold: no_data": YELLOW,
    "hold: baking": BLUE,
    "stop: unhealthy": ORANGE,
    "stop: own_failures": ORANGE,
}
FAULTS: Colors = {
    "latency": CYAN,
    "http_error": PURPLE,
    "fail_first": LILAC,
    "throttle": PINK,
    "connection_reset": "#7B6FD0",
    "blackhole": WHITE,
    "crash": BLUE,
    "freeze": NAVY,
    "cpu_limit": "#5F9EA0",
    "partition": "#DDA0DD",
    "redis_stall": "#B0C4DE",
}
RUNNERS: Colors = {"wanted": ORANGE, "ordered": BLUE, "idle": GREY}
EVENT_KINDS: Colors = {"action": BLUE, "fault": PURPLE, "alert": RED, "stall": PINK, "collapse": ORANGE}
SEVERITIES: Colors = {"page": RED, "ticket": ORANGE}
ALERTS: Colors = {rule.name: SEVERITIES[rule.severity] for rule in default_alerts()}


def suffixed(colors: Colors) -> Colors:
    """The same colours for legends that end in the name, such as `identity latency`."""
    return {f"/ {name}$/": color for name, color in colors.items()}
