"""When the service counts as recovered, as in docs/model.md §4."""

from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.model import Conditions


def recovered(view: IncidentView, conditions: Conditions, window: tuple[float, float]) -> Conditions:
    """Adds the three conditions of a recovered service."""
    return (
        conditions.above("op_success", view.op_success(*window), 0.99)
        .below("amplification", view.amplification(*window), 1.1)
        .below("backlog", view.backlog(*window), view.backlog_gone)
    )
