"""A full disk: whatever a command writes, it ends with 2, one line that names the file, and the old content intact.

The commands come from the command line itself: a new one has to say here what it writes.
"""

import json
import resource
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies.campaign.jobs import CampaignResult, CampaignRun
from chaos.studies.validation.command import judge_apart
from tests.unit.record.incident_record import fresh_incident

SCENARIO = "azure-fnj8-vqz-short"
WRITES: dict[str, tuple[list[str], str]] = {
    "run": (["run", SCENARIO, "--out", "out"], "out/plan.json"),
    "report": (["report", "record"], "record/verdict.json"),
    "campaign": (["campaign", "--scenario", SCENARIO, "--seeds", "1", "--perturbed", "0", "--out", "out"], "out"),
    "conformance": (["conformance", "campaign.json", "--out", "out"], "out"),
    "matrix": (["matrix", SCENARIO, "--mitigations", "R1", "--seeds", "1", "--out", "out"], "out/"),
    "defences": (["matrix", SCENARIO, "--defences", "--seeds", "1", "--out", "out"], "out/defences.json"),
    "validate": (["validate", "--page", "out"], "out"),
    "map": (["map", "--x", "load=0.1,0.2", "--y", "retries=1,2", "--out", "out"], "out/"),
    "size": (["size", SCENARIO, "--sizes", "1:1", "--page", "out"], "out"),
    "new": (["new", "mine"], "mine.yaml"),
    "export": (["export", "record", "--format", "csv", "--out", "out"], "out"),
    "serve": (["serve", "--port", "0"], "runs/"),
}
WRITES_NOTHING = {"scenarios", "diff", "soak", "kills", "check-part", "try-retries", "results"}
"""Of `results` it is each step that writes, a command of its own."""
IN_DOCKER = {"watch"}
STUDIES = ("campaign", "matrix", "map", "size", "validation")


class Broken(Executor):
    """Every job fails at once, or has no figures: what is asked is only where the results go."""

    def submit(self, function: Any, /, *_arguments: Any, **_options: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if function is judge_apart:
            future.set_result((2, ()))
        else:
            future.set_exception(RuntimeError("not measured"))
        return future


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow, not by a byte. Folders and empty files can still be made, as on a disk that is just full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in STUDIES:
        monkeypatch.setattr(f"chaos.studies.{name}.command.processes", lambda _count: nullcontext(Broken()))
    monkeypatch.setattr("chaos.command.run.RunRecord.load", lambda _folder: fresh_incident().build())
    monkeypatch.setattr("chaos.cli._require_free", lambda *_arguments: None)


def a_campaign() -> None:
    from chaos.scenarios.loader import load
    from chaos.studies.campaign.collect import collect, write

    write(collect(load(SCENARIO), "abc", [CampaignResult(CampaignRun(SCENARIO, 1), True)]), Path("campaign.json"))


def a_record() -> None:
    Path("record").mkdir()


MAKES = {"report": a_record, "export": a_record, "conformance": a_campaign}


def test_every_command_says_what_it_writes() -> None:
    assert {command for (command, *_), _ in WRITES.values()} | WRITES_NOTHING | IN_DOCKER == set(main.commands)


@pytest.mark.parametrize("command", WRITES)
def test_a_full_disk_is_one_line_that_names_the_file(command: str) -> None:
    arguments, place = WRITES[command]
    MAKES.get(command, lambda: None)()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with full_disk():
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("aftershock")]
    assert line.endswith(": File too large")
    assert line.removeprefix("aftershock: ").startswith(place)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert list(Path().rglob("*.partial")) == []
    assert list(Path().rglob("*.lock")) == []


def test_a_file_of_tokens_that_was_cut_short_is_made_anew() -> None:
    from chaos.controller.auth import load_tokens

    file = Path("tokens")
    for torn in (b"", b"{", b"[]", b'{"read": 1}', b"\xff"):
        file.write_bytes(torn)
        tokens, made = load_tokens(file, "", "")
        assert made
        assert json.loads(file.read_text()) == {"read": tokens.read, "operate": tokens.operate}
        assert file.stat().st_mode & 0o077 == 0 or torn == b""
