"""Where records live and how a run is carried out: one folder a run, `runs/latest` points at the newest."""

import fcntl
import json
import logging
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chaos.experiment.baseline import UnhealthyBaseline
from chaos.experiment.experiment import Experiment, Observer
from chaos.experiment.plan import Plan
from chaos.record.files import PLAN_FILE
from chaos.record.recorder import Recorder
from chaos.record.retention import runs_max, tidy_runs
from compose.runtime import Runtime, RuntimeUnavailable
from services.chassis.clock import Clock, system_clock
from services.chassis.exit_codes import INTERRUPT
from services.chassis.interrupts import Interrupted, postponed, told
from services.chassis.interrupts import run as run_until_signal

RuntimeName = Literal["virtual", "local", "compose"]
TransportName = Literal["http", "direct"]
RUNS = Path("runs")


class RunFolderError(OSError):
    """The folder for the record cannot be made or written; the text names it."""


@dataclass(frozen=True)
class Finished:
    """How a run ended. `problem` is set when its baseline was not healthy; `interrupted` to the signal's exit code."""

    folder: Path | None
    recorder: Recorder | None
    plan: dict[str, Any]
    problem: str = ""
    interrupted: int = 0

    @property
    def sha256(self) -> str:
        """Of the events; empty when the run never began."""
        return self.recorder.sha256 if self.recorder else ""


def new_folder(name: str, root: Path | None = None, *, clock: Clock | None = None) -> Path:
    """A fresh folder `root/name-<UTC time>`; a second one within a second gets a number. Old ones make room for it.

    Raises:
        RunFolderError: when it cannot be made.
        SettingsError: when the variable that says how many stay is no such number.
    """
    root, most = root or RUNS, runs_max()
    stamp = f"{name}-{(clock or system_clock()).utc():%Y%m%dT%H%M%S}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = root / (stamp if number == 1 else f"{stamp}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                tidy_runs(root, most)
                return folder
    except OSError as error:
        raise RunFolderError(f"{root}: cannot write a record there: {error.strerror}") from error
    raise RunFolderError(f"{root}: too many runs named {stamp}")


def given_folder(folder: Path) -> Path:
    """The folder a user asked for; it must be new or empty, so that no two runs mix. It is ours until we end.

    Raises:
        RunFolderError: when it holds something, cannot be made or written, or another command works in it.
    """
    _make(folder, "record")
    claim(folder)
    if any(folder.iterdir()):
        raise RunFolderError(f"{folder}: is not empty; a record needs a folder of its own")
    return folder


def used_folder(folder: Path | None, kind: str) -> Path:
    """Where the files of a `kind` of many runs go: a new folder, or the one given, though it may hold some already.

    Raises:
        RunFolderError: when it cannot be made or written, or another command works in it.
    """
    if folder is None:
        return new_folder(kind)
    _make(folder, kind)
    return claim(folder)


def _make(folder: Path, kind: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot write a {kind} there: {error.strerror}") from error


_CLAIMED: dict[Path, int] = {}
"""Open files whose locks last as long as this process, however it ends."""


def claim(path: Path) -> Path:
    """No other command writes this folder, or this file, until this one has ended.

    Raises:
        RunFolderError: when another does already.
    """
    if path.resolve() in _CLAIMED:
        return path
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise RunFolderError(f"{path}: another command is writing there") from error
    except OSError:  # a file system without locks is no reason to fail
        os.close(number)
    else:
        _CLAIMED[path.resolve()] = number
    return path


def output_file(path: Path) -> Path:
    """A file that a user wants written in the end: whether it can be is known now, and it is ours until we end.

    Raises:
        RunFolderError: when it cannot be written, or another command works on it.
    """
    lock = path.with_name(f".{path.name}.lock")
    _make(path.parent, "file")
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise RunFolderError(f"{path}: cannot be written")
    lock.touch()
    claim(lock)
    return path


def replace(path: Path, text: str) -> Path:
    """Writes a file in one step: whoever reads it sees the old text or the new one, never half of it.

    Raises:
        OSError: naming the file.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from error
    return path


def point_latest(folder: Path) -> None:
    """Makes `latest` beside the folder point at it; a file system without links is no reason to fail."""
    link = folder.parent / "latest"
    with suppress(OSError):
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name, target_is_directory=True)


def write_plan(folder: Path, document: dict[str, Any]) -> None:
    """plan.json: everything that decides the run."""
    replace(folder / PLAN_FILE, json.dumps(document, indent=1, sort_keys=True) + "\n")


def commit() -> str:
    """The checkout's commit, with `+` when the tree differs from it; empty outside a checkout."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def carry_out(
    plan: Plan,
    *,
    runtime: RuntimeName = "virtual",
    transport: TransportName = "http",
    folder: Path | None = None,
    observers: Sequence[Observer] = (),
) -> Finished:
    """Runs the plan to its end and returns its record; without a folder the record stays in memory.

    Raises:
        RuntimeUnavailable: when the runtime cannot start here.
    """
    plan.require_offered(runtime)
    document = plan.document(runtime, transport if runtime == "virtual" else "http", commit() if folder else "")
    if folder is not None:
        write_plan(folder, document)
    run = _in_virtual_time if runtime == "virtual" else _in_real_time
    return run(plan, document, runtime, transport, folder, observers)


def _in_virtual_time(
    plan: Plan,
    document: dict[str, Any],
    _runtime: RuntimeName,
    transport: TransportName,
    folder: Path | None,
    observers: Sequence[Observer],
) -> Finished:
    from compose.virtual.runtime import VirtualRuntime
    from compose.virtual.world import VirtualWorld

    epoch_s = plan.starts_at.timestamp() - plan.warmup_s
    world = VirtualWorld(seed=plan.seed, transport=transport, epoch_s=epoch_s)
    experiments: list[Experiment] = []

    async def main() -> None:
        # Built on the loop: the sessions of the runtime belong to it.
        experiments.append(Experiment(plan, VirtualRuntime(world), _recorder(folder), observers=observers))
        await experiments[0].run()

    def run() -> None:
        heard: list[Interrupted] = []

        def hear(interrupted: Interrupted) -> None:
            """Raised as a callback of the loop, between two others, and once: what is closing is left alone."""
            if not heard:
                world.loop.call_soon(_raise, interrupted)
            heard.append(interrupted)

        with told(hear):
            world.run(main())
        if heard:
            raise heard[0]

    return _settle(run, experiments, document, folder)


def _raise(error: BaseException) -> None:
    raise error


def _in_real_time(
    plan: Plan,
    document: dict[str, Any],
    runtime: RuntimeName,
    _transport: TransportName,
    folder: Path | None,
    observers: Sequence[Observer],
) -> Finished:
    experiments: list[Experiment] = []

    async def main() -> None:
        testbed = await make_runtime(runtime, folder)
        experiments.append(Experiment(plan, testbed, _recorder(folder, testbed), observers=observers))
        await experiments[0].run()

    return _settle(lambda: run_until_signal(main()), experiments, document, folder)


async def make_runtime(name: RuntimeName, folder: Path | None) -> Runtime:
    """The runtime of that name, not yet started; must be called on the loop it will run on."""
    if name == "local":
        from compose.local import LocalRuntime

        return LocalRuntime(logs=folder / "logs" if folder else None)
    if name == "compose":
        from compose.docker import DockerRuntime

        return DockerRuntime()
    raise RuntimeUnavailable(f"runtime {name!r} is not available")


def _recorder(folder: Path | None, runtime: Runtime | None = None) -> Callable[[Clock, float], Recorder]:
    http = runtime.http if runtime else None
    return lambda clock, zero_epoch_s: Recorder(clock, zero_epoch_s, folder=folder, http=http)


def _settle(
    run: Callable[[], None], experiments: list[Experiment], document: dict[str, Any], folder: Path | None
) -> Finished:
    problem, interrupted = "", 0
    with postponed():
        try:
            run()
        except UnhealthyBaseline as error:
            problem = str(error)
        except KeyboardInterrupt as error:
            interrupted = error.code if isinstance(error, Interrupted) else INTERRUPT
        finally:
            recorder = experiments[0].recorder if experiments else None
            if recorder is not None:
                recorder.close()
            if folder is not None:
                point_latest(folder)
    return Finished(folder, recorder, document, problem, interrupted)


def quiet_libraries() -> None:
    """aiohttp logs every connection that a crash resets; the record tells it better."""
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
