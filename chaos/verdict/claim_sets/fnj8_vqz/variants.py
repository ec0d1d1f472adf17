"""The negative controls as runs: the incident with one change each."""

from collections.abc import Callable

from chaos.scenarios.actions import CancelRemediation, Ramp, RestoreAccounts
from chaos.scenarios.actions import Open as OpenTraffic
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load
from chaos.scenarios.model import Entry, Scenario
from chaos.scenarios.moments import DRILL_ROW
from chaos.scenarios.size import sized_settings
from chaos.scenarios.without import without, without_operators
from chaos.verdict.claim_set import Variant
from compose.topology import LOADGEN
from services.chassis.settings import Tree

NO_OPERATOR_UNTIL_S = 1500.0
SHORT_S, SHORT_FACTOR = 500.0, 1.1
INCIDENT = "azure-fnj8-vqz"
DRILL_AT_S, DRILL_WATCHED_S = 5.0, 40.0


Change = Callable[[Scenario], Variant]


def _no_operator(scenario: Scenario) -> Variant:
    """No operator actions after the restore, in a longer run."""
    alone = without_operators(scenario)
    longer = NO_OPERATOR_UNTIL_S if scenario.duration_s > SHORT_S else SHORT_FACTOR * scenario.duration_s
    return Variant(alone.model_copy(update={"duration_s": longer}), {})


def _no_restore(scenario: Scenario) -> Variant:
    return Variant(without(scenario, RestoreAccounts), {})


def _failover_off(scenario: Scenario) -> Variant:
    return Variant(scenario, {"router": {"failover": {"enabled": False}}})


def _abrupt_reopen(scenario: Scenario) -> Variant:
    """All traffic is admitted at once at the time of the ramp."""

    def reopened(entry: Entry) -> Entry:
        action = entry.action
        return entry.acting(OpenTraffic(do="open", regions=action.regions)) if isinstance(action, Ramp) else entry

    timeline = tuple(reopened(entry) for entry in scenario.timeline)
    return Variant(scenario.model_copy(update={"timeline": timeline}), {})


def _no_cancel(scenario: Scenario) -> Variant:
    return Variant(without(scenario, CancelRemediation), {})


def _repaired_inventory(scenario: Scenario) -> Variant:
    return Variant(scenario, {"remediation": {"inventory": {"defect": "none", "validate_targets": True}}})


def _repaired_gate(scenario: Scenario) -> Variant:
    return Variant(scenario, {"remediation": {"gate": {"variant": "repaired"}}})


def _careful_tenants(scenario: Scenario) -> Variant:
    """Changes of the tenants' clients only: the load generator's calls to the identity service and control plane."""
    restrained: Tree = {
        "sdk": {"attempts": 3, "wait": "full_jitter", "honour_retry_after": True},
        "workflow": {"enabled": False},
    }
    guard: Tree = {
        "budget": {"kind": "finagle", "share": 0.1, "retries_per_s_min": 0.3, "window_s": 10.0},
        "breaker": {"mode": "retries_only"},
    }
    client = {**restrained, "guard": guard, "cache": {"enabled": True}}
    overlay = {LOADGEN: restrained, "instances": {LOADGEN: {"identity_client": client}}}
    return Variant(scenario, sized_settings(overlay, scenario.size))


def _drill_alone(scenario: Scenario) -> Variant:
    """A calm day with the drill of the full incident; its rows are renamed, as it does not follow an incident."""
    drill = [entry for entry in load(INCIDENT).in_order if entry.row == DRILL_ROW]
    begin = drill[0].t - DRILL_AT_S
    entries = tuple(
        entry.moved(entry.t - begin).model_copy(update={"id": f"D{number:02}"}) for number, entry in enumerate(drill, 1)
    )
    update = {"timeline": entries, "duration_s": entries[-1].t + DRILL_WATCHED_S}
    return Variant(load("calm-day", size=scenario.size).model_copy(update=update), {})


def _calm_day(scenario: Scenario) -> Variant:
    return Variant(load("calm-day", size=scenario.size), {})


VARIANTS: dict[str, Change] = {
    "no-operator": _no_operator,
    "no-restore": _no_restore,
    "failover-off": _failover_off,
    "abrupt-reopen": _abrupt_reopen,
    "no-cancel": _no_cancel,
    "repaired-inventory": _repaired_inventory,
    "repaired-gate": _repaired_gate,
    "careful-tenants": _careful_tenants,
    "drill-alone": _drill_alone,
    "calm-day": _calm_day,
}


def variant(name: str, scenario: Scenario) -> Variant:
    """The control `name` of `scenario`, without a drill after the incident."""
    return VARIANTS[name](without_drill(scenario))
