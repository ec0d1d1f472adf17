"""The controller's page while a run is under way: two registries, each metric once."""

from prometheus_client.parser import text_string_to_metric_families

from chaos.controller.app import _joined
from services.chassis.metrics import Metrics


def page(value: float, *, actions: bool) -> bytes:
    metrics = Metrics()
    metrics.counter("process_stall_seconds", "Time lost.").inc(value)
    metrics.gauge("remediation_accounts", "Accounts.", ("region",)).labels("eastus").set(value)
    if actions:
        metrics.counter("controller_actions", "Actions.").inc(7)
    return metrics.page()


def test_a_metric_in_both_registries_is_taken_from_the_run() -> None:
    families = list(text_string_to_metric_families(_joined(page(1, actions=True), page(2, actions=False)).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "Prometheus refuses a page that has a metric twice"
    numbers = {s.name: s.value for family in families for s in family.samples if not s.name.endswith("_created")}
    assert numbers == {"controller_actions_total": 7, "process_stall_seconds_total": 2, "remediation_accounts": 2}
