"""The size multiplies and does nothing else: at half its size the incident has the events it had when it shipped so."""

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.scenarios.actions import ScaleIdentity
from chaos.scenarios.loader import load
from chaos.scenarios.model import Entry, RegionLoad, Scenario
from chaos.scenarios.restrict import restrict

FULL, SHORT = "azure-fnj8-vqz", "azure-fnj8-vqz-short"
LOAD = {
    "centraluseuap": (0.25, 0.2),
    "eastus": (6, 0.75),
    "westus": (3, 0.3),
    "northeurope": (0.4, 0.075),
    "southeastasia": (0.4, 0.075),
    "australiaeast": (0.4, 0.075),
}
ADDED = {"T13": {"eastus": 1}, "T14": {"eastus": 2, "westus": 1}}


def sha256(scenario: Scenario) -> str:
    finished = carry_out(make_plan(scenario, 1), transport="direct")
    assert finished.recorder is not None
    assert not finished.problem
    return finished.recorder.sha256


def as_shipped_before() -> Scenario:
    """The values of the file of that time, given as they are."""

    def with_nodes(entry: Entry) -> Entry:
        if not isinstance(entry.action, ScaleIdentity):
            return entry
        copy = entry.model_copy(update={"action": ScaleIdentity(do="scale_identity", nodes=ADDED[entry.id])})
        copy._t = entry.t
        return copy

    full = load(FULL)
    slots = {name: {"provisioner": {"slots": count}} for name, count in (("eastus", 50), ("westus", 6))}
    return full.model_copy(
        update={
            "regions": tuple(region.model_copy(update={"identity_nodes": 2}) for region in full.regions),
            "load": {name: RegionLoad(token_rate_per_s=one, job_rate_per_s=two) for name, (one, two) in LOAD.items()},
            "settings": {"provisioner": {"slots": 3, "requeue_delay_s": 6}, "regions": slots},
            "timeline": tuple(with_nodes(entry) for entry in full.timeline),
        }
    )


def beginning(scenario: Scenario) -> Scenario:
    """The first seconds of the pair: tenants set up their machines, users arrive, the policy job runs."""
    kept = tuple(entry for entry in scenario.timeline if entry.t < 2.0)
    pair = restrict(scenario.model_copy(update={"timeline": kept}), ["eastus", "westus"])
    return pair.model_copy(update={"warmup_s": 14.0, "duration_s": 2.0})


def test_half_the_incident_has_the_events_of_the_file_with_half_the_values() -> None:
    before = as_shipped_before()
    half = load(FULL, size=0.5)

    assert [entry.action for entry in half.timeline] == [entry.action for entry in before.timeline]
    assert (half.regions, half.load) == (before.regions, before.load)
    assert sha256(beginning(half)) == sha256(beginning(before))


@pytest.mark.long
@pytest.mark.parametrize(("name", "size", "begins"), [(FULL, 0.5, "98e39d72"), (SHORT, 1.0, "8dec2803")])
def test_the_whole_runs_have_the_hashes_they_had(name: str, size: float, begins: str) -> None:
    """A change that is meant to change events has to change these too."""
    assert sha256(load(name, size=size)).startswith(begins)
