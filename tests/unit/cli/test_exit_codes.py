"""Every command ends with an exit code of the table and one line; a crash never looks like a verdict."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from redis.exceptions import ConnectionError as StoreGone

from chaos.command.group import Commands
from chaos.experiment.baseline import UnhealthyBaseline
from chaos.experiment.runs import RunFolderError
from chaos.record.record import RecordError
from chaos.scenarios.loader import ScenarioError
from compose.runtime import RuntimeUnavailable
from services.chassis import exit_codes
from services.chassis.exit_codes import CODES
from services.chassis.interrupts import Interrupted, listening, on_signal, postponed
from services.chassis.settings import SettingsError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def signals_by_default() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, `nohup` with SIGHUP: the tests may be part of such a job."""
    before = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raised(error: BaseException) -> Result:
    """What a command that raises this ends with."""

    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def fails() -> None:
        raise error

    return CliRunner().invoke(group, ["fails"])


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_of_the_table_passes(code: int) -> None:
    assert raised(SystemExit(code)).exit_code == code


@pytest.mark.parametrize("code", [4, 64, 120, 255, "text", -1])
def test_any_other_code_becomes_a_defect(code: int | str) -> None:
    assert raised(SystemExit(code)).exit_code == 3


@pytest.mark.parametrize(
    "error",
    [
        ScenarioError("x.yaml:1: wrong"),
        SettingsError("identity.workers: wrong"),
        RecordError("events.jsonl:7: wrong"),
        RunFolderError("runs: wrong"),
        RuntimeUnavailable("no docker"),
        UnhealthyBaseline("environment too slow"),
        StoreGone("the store has gone"),
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device", "runs/x/events.jsonl"),
        OSError(errno.EROFS, "Read-only file system", "runs"),
        PermissionError(errno.EACCES, "Permission denied", "runs"),
        ExceptionGroup("tasks", [RuntimeUnavailable("no docker"), SettingsError("identity.workers: wrong")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_bad_input_and_a_bad_place_are_2_and_one_line_each(error: BaseException) -> None:
    result = raised(error)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == (len(error.exceptions) if isinstance(error, BaseExceptionGroup) else 1)
    assert all(line.startswith("aftershock: ") for line in lines)


def test_a_file_is_named_by_its_path() -> None:
    line = raised(OSError(errno.ENOSPC, "No space left on device", "runs/x/events.jsonl")).stderr
    assert line == "aftershock: runs/x/events.jsonl: No space left on device\n"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("account"),
        RecursionError("too deep"),
        AssertionError(),
        OSError("no number"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        ExceptionGroup("tasks", [RuntimeUnavailable("no docker"), KeyError("account")]),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_anything_else_is_a_defect_and_its_traceback_is_kept(error: BaseException) -> None:
    result = raised(error)
    assert result.exit_code == 3
    (line,) = result.stderr.splitlines()
    found = re.search(r"a defect of ours: .* \(traceback: (.+)\)$", line)
    assert found
    kept = Path(found[1])
    assert "in fails" in kept.read_text()
    kept.unlink()


def test_a_traceback_that_cannot_be_kept_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    result = raised(KeyError("account"))
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("(traceback: above)")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_128_and_its_number(number: signal.Signals) -> None:
    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def hears() -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not heard")

    before = signal.getsignal(number)
    assert CliRunner().invoke(group, ["hears"]).exit_code == 128 + number
    assert signal.getsignal(number) == before


def test_ctrl_c_without_our_handler_is_130_too() -> None:
    assert raised(KeyboardInterrupt()).exit_code == 130


def test_a_message_stays_one_line_and_harmless_whatever_is_in_it() -> None:
    result = raised(ScenarioError("x.yaml:1: \x1b[31mred\x07 [bold]" + "x" * 5000))
    assert "\x1b" not in result.stderr
    assert r"\x1b[31mred\x07 [bold]xxx" in result.stderr
    assert len(result.stderr) < 1100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["run"], "Missing argument 'SCENARIO'"),
        (["run", "calm-day", "--nonsense"], "No such option '--nonsense'"),
        (["run", "calm-day", "--seed", "x"], "'x' is not a valid integer"),
        (["report", "/nowhere"], "'/nowhere' does not exist"),
    ],
)
def test_a_mistyped_command_is_one_line_that_says_where_help_is(arguments: list[str], said: str) -> None:
    from chaos.cli import main

    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert said in line
    assert "--help` says more" in line


def test_help_is_0_and_nothing_at_all_is_2() -> None:
    from chaos.cli import main

    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["run", "--help"]).exit_code == 0
    assert CliRunner().invoke(main, []).exit_code == 2


def test_a_signal_is_postponed_until_a_critical_section_ends() -> None:
    done: list[str] = []

    def close() -> None:
        with listening(), postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("closed")

    with pytest.raises(Interrupted) as found:
        close()
    assert (found.value.code, done) == (143, ["closed"])


def test_a_subscriber_of_signals_is_called_and_the_program_continues() -> None:
    heard: list[int] = []
    with listening(), on_signal(lambda interrupted: heard.append(interrupted.code)):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
    assert heard == [130, 129]


def test_characters_that_the_terminal_lacks_end_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    assert exit_codes.run("aftershock", lambda: print("± 1")) == 0
    assert stream.buffer.getvalue() == b"? 1\n"


def shell(line: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = line.replace("aftershock", f"{sys.executable} -P -m chaos")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, env=buffered
    )


PIPE = "set -o pipefail;"


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("aftershock scenarios > /dev/full", 2, "standard output: No space left on device"),
        pytest.param(f"{PIPE} aftershock scenarios --json | true", 2, "standard output: ", marks=pytest.mark.long),
        (f"{PIPE} aftershock --help | true", 2, "standard output: "),
        (f"{PIPE} aftershock new mine --out $(mktemp -d) | true", 2, "standard output: "),
        pytest.param(
            f"{PIPE} aftershock run calm-day --seed 7 --out $(mktemp -d) | true",
            2,
            "standard output: ",
            marks=pytest.mark.long,
        ),
        ("aftershock --help >&-", 0, ""),
        ("LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 aftershock campaign --help", 0, ""),
        ("aftershock nosuch 2>&-", 2, ""),
    ],
)
def test_a_broken_standard_output_gives_a_code_of_the_table(line: str, code: int, said: str) -> None:
    done = shell(line)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("aftershock: ")]
    assert [said in line for line in lines] == [True] * bool(said)


@pytest.mark.real_time
def test_a_full_pipe_that_does_not_wait_is_no_defect_of_ours() -> None:
    """Continuous integration hands out such pipes; a reader that is slow for a moment is none that has gone."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            continue
    done = shell("aftershock scenarios", writer)
    os.close(reader)
    os.close(writer)
    assert (done.returncode, done.stderr) == (
        2,
        "aftershock: standard output: write could not complete without blocking\n",
    )


@pytest.mark.real_time
def test_a_working_folder_that_is_gone_is_named() -> None:
    done = shell("cd $(mktemp -d); rmdir $PWD; PYTHONPATH=" + str(ROOT) + " aftershock run calm-day")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "aftershock: the working folder: No such file or directory",
    )


EXITS = re.compile(r"\b(?:sys|os)\.(?:_?exit)\(|\bctx\.exit\(|raise SystemExit")
HANDED_ON = re.compile(r"sys\.exit\((?:exit_codes\.run|\w+_command|run_map)\(")
MAY_EXIT: dict[str, Callable[[str], bool]] = {
    "compose/container/healthcheck.py": lambda _: True,  # Docker asks for 0 or 1, and it imports nothing of ours
    "compose/render.py": lambda _: True,  # a check of the repository, not a command
    "services/chassis/interrupts.py": lambda line: "128 + number" in line,
}


def test_exit_codes_are_chosen_in_one_place() -> None:
    """A number in a `sys.exit` is a second place that decides."""
    odd = []
    for package in ("services", "loadgen", "compose", "chaos"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for number, line in enumerate(path.read_text().splitlines(), 1):
                chooses = EXITS.search(line) and not HANDED_ON.search(line)
                if chooses and not (name in MAY_EXIT and MAY_EXIT[name](line)):
                    odd.append(f"{name}:{number}: {line.strip()}")
    assert odd == []
