"""Mistakes on the command line give one clear line and exit code 2, and leave no partial output."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.command.repeat import repeat_command
from chaos.controller.settings import ControllerSettings
from chaos.scenarios.model import Scenario


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["nosuch"], "unknown scenario 'nosuch'; known: azure-fnj8-vqz"),
        (["calm-day", "--set", "identity.queue_length=-3"], "identity.queue_length: Input should be greater"),
        (["calm-day", "--set", "identity.nonsense=3"], "identity.nonsense: unknown setting"),
        (["calm-day", "--set", "nowhere.rate=1"], "nowhere: unknown section; known: blobstore"),
        (["calm-day", "--set", "identity"], "identity"),
        (["calm-day", "--with", "R9"], "mitigation 'R9': unknown; known: R1"),
        (["calm-day", "--drop", "T99"], "no entry 'T99'"),
        (["calm-day", "--shift", "T07=soon"], "--shift 'T07=soon': should be ID=±MINUTESm"),
        (["calm-day", "--seed", "-1"], "'--seed': -1 is not in the range"),
        (["calm-day", "--perturb", "2"], "'--perturb': 2.0 is not in the range"),
        (["calm-day", "--runtime", "cloud"], "'--runtime': 'cloud' is not one of"),
        (["nosuch", "--runtime", "local", "--transport", "http"], "--transport: has no meaning with --runtime local"),
    ],
)
def test_a_bad_run_says_what_is_wrong_and_writes_nothing(
    arguments: list[str], names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["run", *arguments])
    assert result.exit_code == 2
    assert names in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: [", "bad.yaml:"),
        ("name: x\nsurprise: 1\n", "surprise"),
        ("- 1\n", "bad.yaml"),
    ],
)
def test_a_bad_scenario_file_is_named_with_its_line_and_field(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    result = CliRunner().invoke(main, ["run", str(path)])
    assert result.exit_code == 2
    assert line in result.output
    assert "Traceback" not in result.output


def test_a_folder_with_content_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    result = CliRunner().invoke(main, ["run", "calm-day", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path}: is not empty" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["run", "calm-day", "--out", str(tmp_path / "file" / "run")])
    assert result.exit_code == 2
    assert "cannot write a record there" in result.output


@pytest.mark.parametrize("command", [["report", "{}"], ["diff", "{}", "{}"]])
def test_a_folder_that_is_not_a_run_is_refused(command: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [word.format(tmp_path) for word in command])
    assert result.exit_code == 2
    assert "not a run: plan.json is missing" in result.output


@pytest.mark.real_time
def test_a_port_that_is_taken_is_named_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.output
    assert "starting" not in result.output


@pytest.mark.real_time
def test_serve_heeds_the_tokens_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ControllerSettings] = []

    async def serve_local(settings: ControllerSettings, scenario: Scenario) -> None:
        seen.append(settings)

    monkeypatch.setattr("chaos.controller.serve.serve_local", serve_local)
    monkeypatch.setenv("AFTERSHOCK_OPERATE_TOKEN", "may-act")
    monkeypatch.setenv("AFTERSHOCK_PORT", "1")
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--scenario", "calm-day"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert [(settings.operate_token, settings.read_token, settings.port) for settings in seen] == [("may-act", "", 0)]


def test_the_command_that_repeats_a_run_is_text_whatever_its_file_is_called() -> None:
    """A report is UTF-8; a name of other bytes would leave a finished run without one."""
    odd = os.fsdecode(b"it's \\ \xff.yaml")
    options = {"runtime": "local", "seed": 1, "size": None, "mitigations": "", "traces": False, "perturb": 0.0}
    lists: dict[str, list[str]] = {name: [] for name in ("assignments", "policies", "shifts", "drops", "changes")}
    words = repeat_command({**options, **lists, "scenario": odd}).split(" --runtime")[0]

    assert words.isprintable()
    shell = subprocess.run(["bash", "-c", f"printf %s {words.removeprefix('aftershock run ')}"], capture_output=True)
    assert shell.stdout == os.fsencode(odd)
