"""An option of `aftershock soak` that would be ignored is refused."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.soak.memory import ALLOCATOR, PLAIN
from services.chassis.exit_codes import BAD_INPUT, EXPECTED


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The soaks that were started; none is carried out."""
    found: list[str] = []

    def instead_of(name: str) -> Callable[..., int]:
        def start(*_given: object) -> int:
            found.append(name)
            return EXPECTED

        return start

    monkeypatch.setenv(ALLOCATOR, PLAIN)  # the command would start this process again
    for module, name in (("docker", "soak_docker_command"), ("command", "soak_command")):
        monkeypatch.setattr(f"chaos.soak.{module}.{name}", instead_of(name))
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--docker", "5", "--hours", "8"], "--hours: has no meaning with --docker"),
        (["--docker", "5", "--seed", "1"], "--seed: has no meaning with --docker"),
        (["--docker", "5", "--set", "identity.workers=3"], "--set: has no meaning with --docker"),
        (["--settle", "0"], "--settle: has no meaning without --docker"),
        (["--project", "mine"], "--project: has no meaning without --docker"),
    ],
)
def test_an_option_of_the_other_soak_is_refused(words: list[str], said: str, started: list[str]) -> None:
    result = CliRunner().invoke(main, ["soak", *words])
    assert (result.exit_code, started) == (BAD_INPUT, [])
    assert said in result.output


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--docker", "5", "--settle", "0", "--project", "mine"], "soak_docker_command"),
        (["--hours", "8", "--seed", "2", "--set", "identity.workers=3"], "soak_command"),
    ],
)
def test_its_own_options_are_taken(words: list[str], name: str, started: list[str]) -> None:
    assert (CliRunner().invoke(main, ["soak", *words]).exit_code, started) == (EXPECTED, [name])
