"""`aftershock map` as a user meets it: a map, a point, an interruption, and every mistake by its name."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies import engine
from chaos.studies.cache import key
from chaos.studies.map import command
from chaos.studies.map.points import CODEC, MapFinding, MapRun, classify
from chaos.studies.map.probe import End, Probe, ProbeReading


class Here(Executor):
    """Does each job at once, in this process; `MapFinding`s are made up: high load stays down, low load comes back."""

    def __init__(self, interrupt_after: int) -> None:
        self.left = interrupt_after

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.left:
            self.left -= 1
            future.set_result(made_up(*arguments))
        else:
            future.set_exception(RuntimeError("lost"))
        return future


def made_up(job: MapRun) -> MapFinding:
    end: End = "stayed" if dict(job.at)["load"] == "0.4" else "recovered"
    return classify([Probe(stall_s, end) for stall_s in job.tried_s[:1]])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str, done: int = 99) -> Any:
    monkeypatch.setattr(command, "processes", lambda _count: nullcontext(Here(done)))
    return CliRunner().invoke(main, ["map", *arguments], env={"COLUMNS": "150"})


MAP = ("--x", "load=0.2,0.4", "--y", "retries=1,12", "--stalls", "3", "--with", "R1", "--set", "identity.workers=3")


def test_a_map_is_a_table_three_files_and_the_commands_that_repeat_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = invoke(monkeypatch, *MAP, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert result.output.count("from 3 s") == 2
    assert "2 stable, 2 metastable of 4 points." in result.output
    point = "aftershock map --at load=0.4 --at retries=12 --stalls 3 --with R1 --set identity.workers=3"
    document = json.loads((tmp_path / "map.json").read_text())
    assert document["complete"] is True
    assert [(one["class"], one["escape_threshold_s"]) for one in document["points"]] == [
        ("stable", None),
        ("metastable", 3.0),
    ] * 2
    assert document["points"][3]["command"] == point
    assert document["command"] == (
        "aftershock map --x load=0.2,0.4 --y retries=1,12 --stalls 3 --with R1 --set identity.workers=3"
    )
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert [(row["load"], row["retries"], row["class"]) for row in rows][-1] == ("0.4", "12", "metastable")
    page = (tmp_path / "map.html").read_text()
    assert point in page
    assert page.count("<svg") == 1
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_command_of_a_point_repeats_the_point(monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, "--at", "load=0.4", "--at", "retries=12", "--stalls", "3")
    assert result.exit_code == 0, result.output
    assert "load=0.4, retries=12: metastable from 3 s" in result.output
    assert "stayed down" in result.output


def test_a_point_that_was_lost_is_said_and_exit_code_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = invoke(monkeypatch, *MAP, "--out", str(tmp_path), done=3)
    assert result.exit_code == 2
    assert "1 unmeasured of 4 points" in result.output
    assert "RuntimeError: lost" in result.output


def test_ctrl_c_leaves_what_is_done_readable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def two_and_then_ctrl_c(futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        yield from islice(futures, 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "as_completed", two_and_then_ctrl_c)
    result = invoke(monkeypatch, *MAP, "--out", str(tmp_path))
    assert result.exit_code == 130
    assert "Interrupted: 2 of 4 points are missing." in result.output
    document = json.loads((tmp_path / "map.json").read_text())
    assert (document["complete"], len(document["points"])) == (False, 2)
    assert len((tmp_path / "map.csv").read_text().splitlines()) == 1 + 2
    assert (tmp_path / "map.html").read_text().count("<svg") == 1


def test_the_same_command_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lost = invoke(monkeypatch, *MAP, "--out", "first", done=3)
    again = invoke(monkeypatch, *MAP, "--out", "second", done=1)
    assert (lost.exit_code, again.exit_code) == (2, 0), again.output
    assert "2 stable, 2 metastable of 4 points." in again.output
    assert len(list((tmp_path / "runs" / "map-cache").glob("*.json"))) == 4


def test_a_finding_survives_the_way_through_json() -> None:
    reading = ProbeReading(0.5, 0.75, 2.0, 10.0, 20.0, 3.0)
    finding = classify([Probe(3.0, "stayed", shots=2, success_after=0.1, before=reading, last=reading)])
    assert CODEC.from_document(json.loads(json.dumps(CODEC.to_document(finding)))) == finding


@pytest.mark.parametrize(
    "changed",
    [
        {"at": (("load", "0.4"), ("retries", "1"))},
        {"seed": 2},
        {"stalls_s": (3.0,)},
        {"watch_s": 30.0},
        {"mitigations": ("R1",)},
        {"assignments": ("identity.workers=3",)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_decides_a_point_is_in_the_key(changed: dict[str, Any]) -> None:
    job = MapRun((("load", "0.2"), ("retries", "1")), 1)
    assert key(CODEC.decides(replace(job, **changed)), "code") != key(CODEC.decides(job), "code")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--x", "speed=1,2"], "speed: unknown; give section.field, or one of load, retries"),
        (["--x", "identity.speed=1,2"], "identity.speed: unknown setting"),
        (["--x", "load=fast,0.4"], "load: should be a number from 0.05 to 2 (got 'fast')"),
        (["--x", "load=0.2,nan"], "load: should be a number"),
        (["--x", "identity.queue_length=5,many"], "identity.queue_length"),
        (["--x", "identity.queue_length"], "identity.queue_length: needs its values"),
        (["--x", "load=0.4"], "load: an axis needs at least two values (got '0.4')"),
        (["--x", "load=0.4,0.4"], "load: 0.4: given twice"),
        (["--y", "retries=5,12"], "retries: should be 1, 2, 3, 4, 8 or 12"),
        (["--y", "nodes=1.5,2"], "nodes: should be a whole number"),
        (["--y", "with=none,R9"], "mitigation 'R9': unknown"),
        (["--x", "load", "--y", "load=0.1,0.2"], "load: is on both axes"),
        (["--stalls", "0,3"], "stalls: should be a number from 0.1 to 60 (got '0')"),
        (["--stalls", ","], "stalls: should be seconds"),
        (["--at", "load=0.4"], "--at: a point has two settings"),
        (["--at", "load", "--at", "retries=1"], "--at 'load': should be NAME=VALUE"),
        (["--at", "load=0.4", "--at", "load=0.2"], "load: given twice"),
        (["--at", "load=0.4", "--x", "load"], "--at: names one point"),
        (["--at", "load=0.4", "--at", "retries=1", "--out", "somewhere"], "--out: one point has no files"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_exit_code_2_and_names_its_field(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["map", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_axes_have_default_values() -> None:
    question = command.ask(
        {
            "x": None,
            "y": "stall",
            "at": (),
            "seeds": 2,
            "size": None,
            "stalls": None,
            "watch_s": 60.0,
            "mitigations": "",
            "assignments": (),
        }
    )
    assert question.x.values == ("0.2", "0.3", "0.4", "0.5", "0.6")
    assert question.y.values == ("0.5", "1.5", "3", "6", "12")
    assert len(question.jobs) == 50
