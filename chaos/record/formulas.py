"""The signals of a run that follow from counters and gauges alone: on a record for the verdict, live for an action."""

from chaos.record.metric_names import (
    ACCOUNTS,
    ATTEMPTS,
    CONFIGURED,
    ENDED,
    JOBS,
    JOURNEYS_ENDED,
    NODE_UP,
    STARTED,
    TRIES,
    WORK,
)
from chaos.record.record import Of

SAMPLES_MIN = 3
"""A share of fewer events is no sample."""
WAITING = ("queued", "blocked")
BEGUN = "loadgen_operations_started_total"
LOST = ("failed", "abandoned")
SHARES: dict[str, tuple[Of, Of]] = {
    "attempt_success": (Of(ATTEMPTS, layer="sdk", outcome="ok"), Of(ATTEMPTS, layer="sdk")),
    "operation_success": (Of(ENDED, result="success"), Of(ENDED)),
    "provisioning_success": (Of(TRIES, result="done"), Of(TRIES)),
    "provisioning_blocked": (Of(TRIES, result="blocked"), Of(TRIES)),
    "journey_success": (Of(JOURNEYS_ENDED, result="success"), Of(JOURNEYS_ENDED)),
    "configuration_success": (Of(CONFIGURED, outcome="ok"), Of(CONFIGURED)),
    "wasted_share": (Of(WORK, outcome="wasted"), Of(WORK)),
    "amplification": (Of(ATTEMPTS, layer="sdk"), Of(STARTED)),
}
"""Increase of one set of counters divided by that of another."""
COUNTERS: dict[str, Of] = {
    "attempts": Of(ATTEMPTS, layer="sdk"),
    "operations": Of(STARTED),
    "failed_operations": Of(ENDED, result="failed"),
    "journeys": Of(BEGUN),
    "failed_journeys": Of(JOURNEYS_ENDED, result=LOST),
}
"""Increase of counters."""
GAUGES: dict[str, Of] = {
    "backlog": Of(JOBS, state=WAITING),
    "queue_length": Of("identity_queue_length"),
    "nodes_up": Of(NODE_UP),
    "private_accounts": Of(ACCOUNTS, exempt="true", public="false"),
}
"""The sum of gauges."""
