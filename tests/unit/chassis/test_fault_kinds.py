"""A service drops rules of kinds that it does not know, so a kind that only the catalogue has would do nothing."""

from chaos.faults.registry import CATALOGUE
from services.chassis.faults import KINDS


def test_services_know_every_service_level_kind_of_the_catalogue_and_no_other() -> None:
    assert set(KINDS) == {kind for kind, fault in CATALOGUE.items() if fault.level == "service"}
