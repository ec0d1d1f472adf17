"""A process reads its settings from the environment; what is wrong is named by its variable."""

import pytest

from chaos.controller.settings import ControllerSettings
from services.chassis.environment import from_environment
from services.chassis.process import ProcessSettings
from services.chassis.settings import SettingsError

GIVEN = {"AFTERSHOCK_REGION": "eastus", "AFTERSHOCK_INSTANCE": "identity-1", "AFTERSHOCK_REDIS_URL": "redis://store"}


def test_variables_are_fields_and_mappings_are_json() -> None:
    found = from_environment(
        ProcessSettings, {**GIVEN, "AFTERSHOCK_PORT": "81", "AFTERSHOCK_PEERS": '{"blobstore": "http://there"}'}
    )
    assert (found.region, found.port, found.peers) == ("eastus", 81, {"blobstore": "http://there"})
    assert found.seed == 1


def test_what_is_not_ours_is_not_read() -> None:
    assert from_environment(ControllerSettings, {"PORT": "81", "AFTERSHOCK_PORTS": "82"}).port == 8090


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AFTERSHOCK_PORT": "http"}, "AFTERSHOCK_PORT: Input should be a valid integer"),
        ({"AFTERSHOCK_PORT": "65536"}, "AFTERSHOCK_PORT: Input should be less than or equal to 65535 (got '65536')"),
        ({"AFTERSHOCK_PEERS": "{"}, "AFTERSHOCK_PEERS: not JSON: "),
        ({"AFTERSHOCK_PEERS": '{"blobstore": 1}'}, "AFTERSHOCK_PEERS.blobstore: Input should be a valid string"),
        ({"AFTERSHOCK_LOAD": "storm"}, "AFTERSHOCK_LOAD: Input should be 'base' or 'rest' (got 'storm')"),
    ],
)
def test_a_wrong_variable_is_named_with_its_rule(changed: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(ProcessSettings, {**GIVEN, **changed})
    assert str(refused.value).startswith(said)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^AFTERSHOCK_REGION: Field required"):
        from_environment(ProcessSettings, {name: value for name, value in GIVEN.items() if "REGION" not in name})


def test_the_controllers_variables_are_named_alike() -> None:
    with pytest.raises(SettingsError, match=r"^AFTERSHOCK_PORT: .*\(got '-1'\)$"):
        from_environment(ControllerSettings, {"AFTERSHOCK_PORT": "-1"})
