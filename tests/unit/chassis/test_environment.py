"""A process reads its settings from the environment; what is wrong is named by its variable."""

import pytest
from aiohttp import web

from chaos.controller.settings import ControllerSettings
from services.chassis.addresses import listen
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
        ({"AFTERSHOCK_PEERS": "[" * 5000}, "AFTERSHOCK_PEERS: not JSON: nested deeper than 64 levels"),
        ({"AFTERSHOCK_PEERS": '{"a": "", "a": ""}'}, "AFTERSHOCK_PEERS: not JSON: the name 'a' appears twice"),
        ({"AFTERSHOCK_PEERS": '{"a": "there"}'}, "AFTERSHOCK_PEERS.a: Value error, should be http://HOST"),
        ({"AFTERSHOCK_SETTINGS": '{"a": {"b": NaN}}'}, "AFTERSHOCK_SETTINGS: not JSON: NaN is not a JSON number"),
        ({"AFTERSHOCK_SETTINGS": '{"identity": 5}'}, "AFTERSHOCK_SETTINGS: Value error, identity: must be a mapping"),
        ({"AFTERSHOCK_REDIS_URL": "store"}, "AFTERSHOCK_REDIS_URL: Value error, should be redis://HOST:PORT/NUMBER"),
        ({"AFTERSHOCK_REDIS_URL": "redis://store:x/0"}, "AFTERSHOCK_REDIS_URL: Value error, should be redis://"),
        ({"AFTERSHOCK_OTLP_ENDPOINT": "jaeger:4318"}, "AFTERSHOCK_OTLP_ENDPOINT: Value error, should be http://HOST"),
        ({"AFTERSHOCK_PEER_PATTERN": "{0}"}, "AFTERSHOCK_PEER_PATTERN: Value error, should be a URL with {name} in it"),
        ({"AFTERSHOCK_PEER_PATTERN": "http://a"}, "AFTERSHOCK_PEER_PATTERN: Value error, should be a URL with {name}"),
        ({"AFTERSHOCK_INSTANCE": ""}, "AFTERSHOCK_INSTANCE: String should have at least 1 character"),
        ({"AFTERSHOCK_LOAD": "storm"}, "AFTERSHOCK_LOAD: Input should be 'base' or 'rest' (got 'storm')"),
    ],
)
def test_a_wrong_variable_is_named_with_its_rule(changed: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(ProcessSettings, {**GIVEN, **changed})
    assert str(refused.value).startswith(said)


def test_a_missing_variable_is_named_without_the_others() -> None:
    """Among them is the secret of the project."""
    with pytest.raises(SettingsError, match=r"^AFTERSHOCK_REGION: Field required$"):
        from_environment(ProcessSettings, {name: value for name, value in GIVEN.items() if "REGION" not in name})


def test_a_secret_that_no_header_carries_is_refused_unseen() -> None:
    for given in ("half secret", "secret\r\n", "gehëim"):
        with pytest.raises(
            SettingsError, match=r"^AFTERSHOCK_PROJECT_SECRET: should be printable ASCII without spaces$"
        ):
            from_environment(ProcessSettings, {**GIVEN, "AFTERSHOCK_PROJECT_SECRET": given})
        with pytest.raises(SettingsError, match=r"^AFTERSHOCK_READ_TOKEN: should be printable ASCII without spaces$"):
            from_environment(ControllerSettings, {"AFTERSHOCK_READ_TOKEN": given})


@pytest.mark.real_time
async def test_a_host_that_this_machine_does_not_have_is_named_by_its_variable() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    for host, reason in (("a" * 70 + ".example", "not a host name"), ("192.0.2.1", "")):
        with pytest.raises(
            SettingsError, match=f"^AFTERSHOCK_HOST, AFTERSHOCK_PORT: cannot listen on {host!r}, 0: {reason}"
        ):
            await listen(runner, host, 0)
    await runner.cleanup()


def test_the_controllers_variables_are_named_alike() -> None:
    with pytest.raises(SettingsError, match=r"^AFTERSHOCK_PORT: .*\(got '-1'\)$"):
        from_environment(ControllerSettings, {"AFTERSHOCK_PORT": "-1"})


def test_a_token_for_reading_must_not_operate() -> None:
    with pytest.raises(
        SettingsError, match=r"^AFTERSHOCK_READ_TOKEN: should differ from AFTERSHOCK_OPERATE_TOKEN \(got the same\)$"
    ):
        from_environment(
            ControllerSettings, {"AFTERSHOCK_OPERATE_TOKEN": "one-token", "AFTERSHOCK_READ_TOKEN": "one-token"}
        )
