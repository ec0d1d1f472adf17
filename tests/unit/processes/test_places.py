"""A full disk, an unwritable path, a path in use by another command: one line that names it, and exit code 2."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.experiment import runs
from chaos.experiment.runs import RunFolderError, claim, output_file
from tests.unit.processes.process_watch import descendants

ROOT = Path(__file__).parents[3]
KIB = 100
"""Room for the plan, and for the first seconds of the events."""


@pytest.mark.real_time
@pytest.mark.parametrize("runtime", [["--transport", "direct"]], ids=["virtual"])
def test_a_disk_that_fills_up_during_a_run_is_reported_and_the_run_ends(runtime: list[str], tmp_path: Path) -> None:
    """`ulimit -f` stands for the disk: no file may grow beyond it."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "chaos", "run", "azure-fnj8-vqz-short", *runtime, "--out", str(folder)]
    limited = ["bash", "-c", f'ulimit -f {KIB}; exec "$@"', "bash", *command]
    with subprocess.Popen(limited, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _, said = process.communicate(timeout=110)
        assert process.returncode == 2, said
        assert descendants(process.pid) == set()
    (line,) = said.splitlines()
    assert line.startswith(f"aftershock: {folder}/")
    assert line.endswith(": File too large")
    assert "never closed" in CliRunner().invoke(main, ["report", str(folder)]).stderr


PLACES = {
    "run": ["run", "calm-day", "--out"],
    "matrix": ["matrix", "azure-fnj8-vqz-short", "--mitigations", "R1", "--out"],
    "defences": ["matrix", "azure-fnj8-vqz-short", "--defences", "--out"],
    "map": ["map", "--out"],
    "campaign": ["campaign", "--seeds", "1", "--perturbed", "0", "--out"],
    "validate": ["validate", "--page"],
}
FILES = ("campaign", "validate")
"""Commands whose place is a file; the others have a folder."""


def start_nothing(*_arguments: object, **_options: object) -> None:
    raise AssertionError("nothing may be started before it is known where to write")


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "chaos.command.run.carry_out",
        "chaos.studies.matrix.command.processes",
        "chaos.studies.map.command.processes",
        "chaos.studies.campaign.command.processes",
        "chaos.studies.validation.command.processes",
    ):
        monkeypatch.setattr(name, start_nothing)


@pytest.mark.parametrize("command", PLACES)
@pytest.mark.parametrize("place", ["/proc/aftershock", "{}/file", "{}/file/below"])
def test_a_place_that_cannot_be_written_is_known_before_anything_runs(
    command: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").mkdir() if command in FILES else (tmp_path / "file").touch()
    if command in FILES and place.endswith("below"):
        place = "/proc/version/below"
    place = place.format(tmp_path)
    result = CliRunner().invoke(main, [*PLACES[command], place])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert place in line or str(Path(place).parent) in line


OTHER = """
import sys
from pathlib import Path
from chaos.experiment.runs import given_folder, output_file
place = Path(sys.argv[1])
given_folder(place / "folder")
with output_file(place / "file"):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.mark.real_time
def test_one_place_is_for_one_command_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one has a folder and a file, until it is killed."""
    monkeypatch.chdir(tmp_path)
    other = [sys.executable, "-c", OTHER, str(tmp_path)]
    with subprocess.Popen(other, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        for command, arguments in PLACES.items():
            place = tmp_path / ("file" if command in FILES else "folder")
            result = CliRunner().invoke(main, [*arguments, str(place)])
            assert result.exit_code == 2, command
            (line,) = result.stderr.splitlines()
            assert place.name in line, command
            assert line.endswith("in use by another command"), command
        process.kill()
    assert claim(tmp_path / "folder")
    assert claim(tmp_path / ".file.lock")


def test_the_lock_of_a_file_is_gone_when_the_command_is(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with output_file(place):
        assert [one.name for one in tmp_path.iterdir()] == [".out.lock"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), output_file(place):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_command_removes_at_that_moment_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two commands would hold one file each, of which only one has the name."""
    real, lock = fcntl.flock, tmp_path / ".out.lock"

    def flock(number: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        lock.unlink()
        real(number, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with output_file(tmp_path / "out"):
        assert lock.exists()
        with pytest.raises(BlockingIOError), lock.open() as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_claimed_stays_so_for_this_process_alone(tmp_path: Path) -> None:
    assert claim(tmp_path) == claim(tmp_path) == tmp_path
    with pytest.raises(RunFolderError, match="nowhere: cannot be written: No such file"):
        claim(tmp_path / "nowhere")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    runs.replace(path, "old")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        runs.replace(path, "new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", FILES)
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(command: str, tmp_path: Path) -> None:
    """As root, `--out /dev/null` would take the null device from the whole machine."""
    place = tmp_path / "pipe"
    os.mkfifo(place)
    result = CliRunner().invoke(main, [*PLACES[command], str(place)])
    assert (result.exit_code, result.stderr) == (2, f"aftershock: {place}: cannot be written: not a file\n")
    with pytest.raises(RunFolderError, match="not a file"):
        runs.replace(place, "text")
    assert place.is_fifo()
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


def test_the_link_to_the_latest_run_replaces_no_file_of_the_user(tmp_path: Path) -> None:
    kept = tmp_path / "latest"
    kept.write_text("of the user")
    runs.point_latest(tmp_path / "out")
    assert kept.read_text() == "of the user"
    kept.unlink()
    for name in ("one", "two"):
        runs.point_latest(tmp_path / name)
        assert kept.readlink() == Path(name)
