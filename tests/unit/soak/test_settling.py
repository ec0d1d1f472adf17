"""How long a testbed takes to settle follows from its settings."""

import pytest

from chaos.soak.settling import settling
from services.chassis.settings import Tree

RATES: Tree = {"eastus": {"token_rate_per_s": 8.0, "job_rate_per_s": 2.0}, "westus": {"token_rate_per_s": 10.0}}


@pytest.mark.parametrize(
    ("tree", "healthy_s", "age_s"),
    [
        ({}, 1800.0, 50_000 / 40.0),
        ({"loadgen": {"resource_lifetime_s": 100.0}}, 1000.0, 1250.0),
        ({"regions": {"westus": {"provisioner": {"operation_retention_s": 2000.0}}}}, 2900.0, 1250.0),
        ({"loadgen": {"profile": "rest"}}, 1800.0, 12_500.0),
        ({"loadgen": {"arrivals_kept_max": 40_000}}, 1800.0, 2000.0),
        ({"loadgen": {"regions": {"eastus": {}, "westus": {}}}}, 1800.0, 900.0),
    ],
)
def test_the_longest_chain_of_lifetimes_and_the_slowest_ring(tree: Tree, healthy_s: float, age_s: float) -> None:
    found = settling({**tree, "loadgen": {"regions": RATES, **tree.get("loadgen", {})}}, ("eastus", "westus"))
    assert (found.healthy_s, found.age_s) == (healthy_s, age_s)


def test_it_is_said_what_is_waited_for() -> None:
    assert str(settling({"loadgen": {"regions": RATES, "profile": "rest"}}, ("eastus",))) == (
        "the load's resources and the operations that delete them (30 min), and as old as it takes to fill the event "
        "stream's 50000 lines (208 min); --settle MINUTES changes it"
    )
