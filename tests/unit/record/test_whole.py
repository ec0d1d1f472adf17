"""A record is read completely or refused: truncated, damaged, mixed-up, old and unclosed records."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.controller.routes.runs import _summary
from chaos.record.files import (
    RECORD_FILES,
    TRACES_FILE,
    VERSION,
    VERSION_KEY,
    LinesFile,
    NotWhole,
    seal,
    sealed,
    unsealed,
)
from chaos.record.record import RecordError, RunRecord
from chaos.record.recorder import Recorder
from chaos.record.sampling import TracingSettings
from chaos.record.traces import TraceKeeper
from services.chassis.clock import Clock
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance

EVENTS = 350
STARTS_AT = "2026-02-02T18:03:00+00:00"


def planned(folder: Path, seed: int) -> Path:
    folder.mkdir()
    command = f"aftershock run calm-day --seed {seed}"
    plan = {VERSION_KEY: VERSION, "scenario": "calm-day", "seed": seed, "command": command, "starts_at": STARTS_AT}
    (folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
    return folder


async def write(folder: Path, seed: int = 1) -> Path:
    """A small record, by the recorder itself."""
    recorder = Recorder(Clock(lambda: 0.0, 0.0), 0.0, folder=planned(folder, seed))
    metrics = Metrics()
    metrics.counter("requests_total", "d").inc(seed)
    recorder.attach(Instance("identity", "eastus", "identity-eastus-1", ""), metrics)
    for number in range(EVENTS):
        recorder.event({"at": float(number), "source": "a", "kind": "seen", "id": number * seed})
        recorder.event({"at": 0.0, "source": "a", "kind": "arrival", "tenant": "t", "region": "e", "planned_at": -seed})
    await recorder.sample()
    recorder.close()
    return folder


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    return await write(tmp_path / "run")


def lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def flip(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda all_: [line.replace(old, new) if n == number else line for n, line in enumerate(all_, 1)]


def test_a_whole_record_is_read(folder: Path) -> None:
    assert len(RunRecord.load(folder).events) == EVENTS


def older_than_manifests(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "plan.json").write_text('{"scenario": "x", "command": "c d"}')


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "events cut at a line": (
        lambda f: lines(f / "events.jsonl", lambda all_: all_[:35]),
        r"events\.jsonl:35: ends here; its run wrote 350 lines$",
    ),
    "events cut at a hundred": (
        lambda f: lines(f / "events.jsonl", lambda all_: all_[:200]),
        r"events\.jsonl:200: ends here; its run wrote 350 lines$",
    ),
    "events cut within a line": (
        lambda f: (f / "events.jsonl").write_bytes((f / "events.jsonl").read_bytes()[:1000]),
        r"events\.jsonl:\d+: ends here; its run wrote 350 lines$",
    ),
    "no event is left": (
        lambda f: (f / "events.jsonl").write_bytes(b""),
        r"events\.jsonl:1: ends here; its run wrote 350 lines$",
    ),
    "an event that is no JSON": (
        lambda f: lines(f / "events.jsonl", flip(217, b"{", b"[")),
        r"events\.jsonl:217: not JSON: damaged$",
    ),
    "an event with another number": (
        lambda f: lines(f / "events.jsonl", flip(217, b"216", b"999")),
        r"events\.jsonl:201: not what its run wrote, between here and line 300: damaged, or of another run$",
    ),
    "two lines exchanged": (
        lambda f: lines(f / "events.jsonl", lambda a: [*a[:10], a[11], a[10], *a[12:]]),
        r"events\.jsonl:1: not what its run wrote, between here and line 100",
    ),
    "events that go on": (
        lambda f: lines(f / "events.jsonl", lambda a: [*a, a[-1]]),
        r"events\.jsonl:301: not what its run wrote|events\.jsonl:351: its run wrote only 350 lines",
    ),
    "arrivals cut": (
        lambda f: lines(f / "arrivals.csv", lambda all_: all_[:-1]),
        r"arrivals\.csv:350: ends here; its run wrote 351 lines$",
    ),
    "a plan with another seed": (
        lambda f: (f / "plan.json").write_text((f / "plan.json").read_text().replace('"seed": 1', '"seed": 2')),
        r"plan\.json:1: not what its run wrote",
    ),
    "metrics cut": (
        lambda f: (f / "metrics.npz").write_bytes((f / "metrics.npz").read_bytes()[:-40]),
        r"metrics\.npz: damaged, or of another run: \d+ bytes instead of \d+$",
    ),
    "metrics with a flipped bit": (
        lambda f: (f / "metrics.npz").write_bytes(b"Q" + (f / "metrics.npz").read_bytes()[1:]),
        r"metrics\.npz: damaged, or of another run$",
    ),
    **{
        f"no {name}": ((lambda f, name=name: (f / name).unlink()), rf"{name}.* (is )?missing$")  # type: ignore[misc]
        for name in RECORD_FILES
    },
    "never closed": (
        lambda f: (f / "manifest.json").unlink(),
        r"run: the record was never closed \(manifest\.json is missing\): its run is in progress or was killed$",
    ),
    "older than manifests": (
        older_than_manifests,
        r"plan\.json: written by another version of Aftershock; run it again: c d$",
    ),
    "of another version": (
        lambda f: (f / "manifest.json").write_text('{"record_version": 99, "files": {}}'),
        r"manifest\.json: a record of version 99; this Aftershock reads version 2$",
    ),
    "a cut manifest": (
        lambda f: (f / "manifest.json").write_bytes((f / "manifest.json").read_bytes()[:100]),
        r"manifest\.json:\d+: not JSON",
    ),
    "a manifest that lists nothing": (
        lambda f: (f / "manifest.json").write_text('{"record_version": 2, "files": {}}'),
        r"plan\.json: not a file of this run$",
    ),
    "bytes that are no text": (
        lambda f: (f / "manifest.json").write_bytes(b"\n\n\xff\xfe"),
        r"manifest\.json:3: not JSON: not UTF-8 text$",
    ),
    "a manifest that is nested without end": (
        lambda f: (f / "manifest.json").write_text("[" * 100_000),
        r"manifest\.json:1: not JSON of ours: nested too deep$",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_refused_by_file_and_line(damage: str, folder: Path) -> None:
    break_, said = DAMAGE[damage]
    break_(folder)
    with pytest.raises(RecordError, match=said) as refused:
        RunRecord.load(folder)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).startswith(str(folder))


@pytest.mark.parametrize("name", RECORD_FILES)
async def test_a_file_of_another_run_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    other = await write(tmp_path / "other", seed=2)
    shutil.copy(other / name, folder / name)
    with pytest.raises(RecordError, match=rf"{name}.*of another run"):
        RunRecord.load(folder)


@pytest.mark.parametrize("command", [["report"], ["diff"]])
def test_every_command_that_reads_a_record_refuses_a_damaged_one(command: list[str], folder: Path) -> None:
    lines(folder / "events.jsonl", lambda all_: all_[:35])
    again = [str(folder)] * (2 if command == ["diff"] else 1)
    result = CliRunner().invoke(main, [*command, *again])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "events.jsonl:35: ends here" in line
    assert not (folder / "verdict.json").exists()


def test_a_list_of_runs_names_the_damaged_one_and_goes_on(folder: Path) -> None:
    assert _summary(folder) == {"id": "run", "status": "not judged", "why": ""}
    (folder / "verdict.json").write_text('{"status": ')
    assert _summary(folder)["status"] == "unreadable"
    assert "verdict.json:1: not JSON" in _summary(folder)["why"]
    (folder / "verdict.json").unlink()
    (folder / "verdict.json").mkdir()
    assert _summary(folder)["status"] == "unreadable"


# Our other files


@pytest.mark.parametrize("change", [('"n": 1', '"n": 2'), ("}", ""), ('"sha256"', '"sha"'), ('"n"', '"m"')])
def test_a_sealed_document_is_read_whole_or_not_at_all(change: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(sealed({"n": 1, "list": ["ä"]}), indent=1))
    assert unsealed(path) == {"n": 1, "list": ["ä"]}
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(NotWhole, match=r"file\.json:\d"):
        unsealed(path)


# A full disk


def test_a_full_disk_is_reported_by_flush_and_close_and_not_by_write(tmp_path: Path) -> None:
    full = LinesFile(Path("/dev/full"))
    for _ in range(5000):
        full.write("a line that is longer than nothing\n")
    for end in (full.flush, full.flush, full.close):
        with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
            end()


async def test_a_record_that_could_not_be_written_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    recorder = Recorder(Clock(lambda: 0.0, 0.0), 0.0, folder=tmp_path)
    recorder.event({"at": 0.0, "source": "a", "kind": "audit"})
    with pytest.raises(OSError, match=r"events\.jsonl'$"):
        await recorder.sample()
    with pytest.raises(OSError, match=r"events\.jsonl'$"):
        recorder.close()
    recorder.close()
    assert sorted(os.listdir(tmp_path)) == ["arrivals.csv", "events.jsonl"]


def test_a_record_is_whole_without_traces_that_could_not_be_written(tmp_path: Path) -> None:
    clock = Clock(lambda: 0.0, 0.0)
    keeper = TraceKeeper(TracingSettings(), clock, folder=tmp_path)
    file = keeper._file
    assert isinstance(file, LinesFile)
    file.write("a line\n")
    file._file.close()
    file._file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")  # the disk is full from here on
    file.write("a line that is cut\n")
    recorder = Recorder(clock, 0.0, folder=tmp_path)
    with pytest.raises(OSError, match=r"traces\.jsonl'$"):
        keeper.close()
    recorder.close()
    assert TRACES_FILE not in os.listdir(tmp_path)
    assert TRACES_FILE not in json.loads((tmp_path / "manifest.json").read_text())["files"]


def test_a_seal_is_whole_or_absent(tmp_path: Path) -> None:
    (tmp_path / f"manifest.json.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"manifest\.json'$"):
        seal(tmp_path)
    assert list(tmp_path.iterdir()) == []


def plan_with(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        plan = json.loads((folder / "plan.json").read_text())
        (folder / "plan.json").write_text(json.dumps({**plan, **changed}))

    return change


def table(times: list[float], rows: int) -> Callable[[Path], None]:
    series = [json.dumps({"name": "a", "labels": {}})]

    def change(folder: Path) -> None:
        np.savez(folder / "metrics.npz", times=np.array(times), series=np.array(series), values=np.zeros((rows, 2)))

    return change


def measured(name: str, *values: float) -> Callable[[Path], None]:
    series = [json.dumps({"name": name, "labels": {}})]

    def change(folder: Path) -> None:
        times = np.arange(1.0, 1.0 + len(values))
        np.savez(folder / "metrics.npz", times=times, series=np.array(series), values=np.array([values]))

    return change


def twice(folder: Path) -> None:
    series = [json.dumps({"name": "a", "labels": labels}) for labels in ({"b": "1", "c": "2"}, {"c": "2", "b": "1"})]
    np.savez(folder / "metrics.npz", times=np.array([1.0]), series=np.array(series), values=np.zeros((2, 1)))


def labelled(series: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = np.zeros((1, 2))
        np.savez(
            folder / "metrics.npz", times=np.array([1.0, 2.0]), series=np.array([json.dumps(series)]), values=values
        )

    return change


def event(line: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "events.jsonl").write_text(f"{line}\n")


SEALED_GARBAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a size in words": (plan_with(size="x"), r"plan\.json: not a plan: size: Input should be a valid number.*'x'"),
    "a timeline of numbers": (plan_with(timeline=[5]), r"plan\.json: not a plan: timeline\.0: "),
    "an endless warm-up": (plan_with(warmup_s=1e308), r"plan\.json: not a plan: warmup_s: .* less than or equal"),
    "no moment": (plan_with(starts_at="soon"), r"plan\.json: not a plan: starts_at: "),
    "settings in a list": (plan_with(settings=[5]), r"plan\.json: not a plan: settings: "),
    "no scenario": (lambda f: (f / "plan.json").write_text("[]"), r"plan\.json:1: not a plan: no `scenario` in it"),
    "no begin": (plan_with(starts_at=None), r"plan\.json: not a plan: starts_at: "),
    "a begin without a zone": (
        plan_with(starts_at="2026-02-02T18:03:00"),
        r"plan\.json: not a plan: starts_at: .* zone",
    ),
    "a region without a name": (plan_with(regions=[{}]), r"plan\.json: not a plan: regions\.0\.name: Field required"),
    "claims of nobody": (plan_with(claims="x.y"), r"plan\.json: not a plan: claims: Input should be 'fnj8-vqz'"),
    "an expectation of numbers": (plan_with(expect=[{"id": 5}]), r"plan\.json: not a plan: expect\.0\."),
    "a timeout in words": (
        plan_with(settings={"regions": {"eastus": {"identity_client": {"timeout_s": "x"}}}}),
        r"plan\.json: not a plan: settings: .*identity_client\.timeout_s: Input should be a valid number",
    ),
    "a kind in a list": (event('{"t": 1, "kind": []}'), r"events\.jsonl:1: not an event"),
    "an event at no time": (event('{"t": NaN, "kind": "a"}'), r"events\.jsonl:1: not an event"),
    "an event in a year": (event('{"t": 1e9, "kind": "a"}'), r"events\.jsonl:1: not an event: t: .* equal to 1000000"),
    "an event in a list": (event('["t", "kind"]'), r"events\.jsonl:1: not an event: `t` and `kind` are needed"),
    "an alert without a name": (
        event('{"t": 1, "kind": "alert", "state": "firing"}'),
        r"events\.jsonl:1: not an event: name: Field required$",
    ),
    "a duration in words": (
        event(
            '{"t": 1, "kind": "operation", "region": "e", "tenant": "t", "operation": "o", "result": "r", "code": "",'
            ' "duration_s": "1"}'
        ),
        r"events\.jsonl:1: not an event: duration_s: Input should be a valid number \(got '1'\)$",
    ),
    "a label in a list": (
        labelled({"name": "a", "labels": {"region": ["eastus"]}}),
        r"metrics\.npz: not a metrics file: series 1: a: a label is not text",
    ),
    "a bucket without a bound": (
        labelled({"name": "a_bucket", "labels": {}}),
        r"metrics\.npz: not a metrics file: series 1: a_bucket: the label `le` is not a number",
    ),
    "a counter below zero": (
        measured("a_total", 1.0, -1.0),
        r"metrics\.npz: not a metrics file: series 1: a_total: values should be between 0 and 1e\+15 \(got -1\)",
    ),
    "an endless counter": (measured("a_bucket_total", 1.0, float("inf")), r"between 0 and 1e\+15 \(got inf\)"),
    "a gauge beyond all": (
        measured("a", 1e300),
        r"series 1: a: values should be between -1e\+15 and .* \(got 1e\+300\)",
    ),
    "a gauge below all": (measured("a", float("-inf")), r"series 1: a: values should be between .* \(got -inf\)"),
    "times beyond all": (
        table([1.0, 1e12], 1),
        r"metrics\.npz: not a metrics file: times that are not within 1e\+06 s",
    ),
    "a series twice": (twice, r"metrics\.npz: not a metrics file: series 2: a: is there twice, with the same labels"),
    "deep": (event("[" * 3000), r"events\.jsonl:1: not JSON"),
    "a sample short": (table([1.0, 2.0, 3.0], 1), r"metrics\.npz: not a metrics file: 1 series and 3 times"),
    "a series more": (table([1.0, 2.0], 2), r"metrics\.npz: not a metrics file: 1 series and 2 times"),
    "time that goes back": (table([2.0, 1.0], 1), r"metrics\.npz: not a metrics file: times that are not ascending"),
    "no number for a time": (table([float("nan"), 1.0], 1), r"metrics\.npz: not a metrics file: times that are not"),
}


@pytest.mark.parametrize("case", SEALED_GARBAGE)
def test_a_sealed_record_of_another_shape_is_refused_by_file_and_field(case: str, folder: Path) -> None:
    change, said = SEALED_GARBAGE[case]
    change(folder)
    seal(folder)

    with pytest.raises(RecordError, match=said):
        RunRecord.load(folder)


def test_a_gauge_may_have_gaps_no_bound_and_a_sign(folder: Path) -> None:
    measured("limit", float("nan"), float("inf"), -1.0)(folder)
    seal(folder)
    assert RunRecord.load(folder).series.values[1:, 0].tolist() == [float("inf"), -1.0]


def test_a_record_file_that_is_a_pipe_is_not_waited_for(folder: Path) -> None:
    for name in (*RECORD_FILES, "manifest.json"):
        (folder / name).rename(folder / "kept")
        os.mkfifo(folder / name)
        with pytest.raises(RecordError, match="missing"):
            RunRecord.load(folder)
        (folder / name).unlink()
        (folder / "kept").rename(folder / name)
