"""Run folders and execution of a run. Each run has one folder; `runs/latest` points to the newest."""

import fcntl
import json
import logging
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from chaos.experiment.baseline import UnhealthyBaseline
from chaos.experiment.experiment import Experiment, Observer
from chaos.experiment.plan import Plan
from chaos.record.files import PLAN_FILE, whole
from chaos.record.recorder import Recorder
from chaos.record.retention import LATEST, runs_max, tidy_runs
from compose.runtime import Runtime, RuntimeUnavailable
from services.chassis.clock import Clock, system_clock
from services.chassis.exit_codes import INTERRUPT
from services.chassis.interrupts import Interrupted, on_signal, postponed
from services.chassis.interrupts import run as run_until_signal
from services.parts.kind import PartError

if TYPE_CHECKING:
    from chaos.record.traces import TraceKeeper
    from compose.virtual.world import VirtualWorld

T = TypeVar("T")
RuntimeName = Literal["virtual", "local", "compose"]
TransportName = Literal["http", "direct"]
RUNS = Path("runs")


class RunFolderError(OSError):
    """A folder or file cannot be created or written, or is in use; the message names it."""


@dataclass(frozen=True)
class Finished:
    """Result of a run. `problem` is set if the baseline was not healthy, `interrupted` to the exit code of a signal."""

    folder: Path | None
    recorder: Recorder | None
    plan: dict[str, Any]
    problem: str = ""
    interrupted: int = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the events; empty if the run did not start."""
        return self.recorder.sha256 if self.recorder else ""


def new_folder(name: str, root: Path | None = None, *, clock: Clock | None = None) -> Path:
    """Creates a folder `root/name-<UTC time>`, with a number appended if it exists. Applies retention to old folders.

    Raises:
        RunFolderError: it cannot be created.
        SettingsError: AFTERSHOCK_RUNS_MAX is invalid.
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


def given_folder(folder: Path, kind: str = "record") -> Path:
    """Creates the folder given by a user, which must be new or empty, and locks it until this process ends.

    Raises:
        RunFolderError: it is not empty, cannot be created or written, or is in use by another command.
    """
    _make(folder, kind)
    claim(folder)
    if any(folder.iterdir()):
        raise RunFolderError(f"{folder}: is not empty; the {kind} needs an empty folder")
    return folder


def used_folder(folder: Path | None, kind: str) -> Path:
    """The folder for the output of a study (`kind`): a new one, or the given one, which need not be empty.

    Raises:
        RunFolderError: it cannot be created or written, or is in use by another command.
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
        article = "an" if kind[0] in "aeiou" else "a"
        raise RunFolderError(f"{folder}: cannot write {article} {kind} there: {error.strerror}") from error


_CLAIMED: dict[str, int] = {}
"""Open files that hold locks; the kernel releases them when this process ends for any reason."""


def claim(path: Path, flags: int = os.O_RDONLY) -> Path:
    """Locks a folder or file against other commands until this process ends.

    Raises:
        RunFolderError: another command holds the lock.
    """
    if os.path.realpath(path) in _CLAIMED:
        return path
    try:
        number = os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        raise RunFolderError(f"{path}: in use by another command") from error
    except OSError:  # ignore a file system without locks
        os.close(number)
    else:
        _CLAIMED[os.path.realpath(path)] = number
    return path


@contextmanager
def output_file(path: Path | None) -> Iterator[None]:
    """Checks before a long computation that its output file, if any, can be written, and locks it during the block.

    The lock is a file beside it, because `replace` gives the output file another inode. It is removed afterwards; a
    SIGKILL leaves it, without effect.

    Raises:
        RunFolderError: it cannot be written, or is in use by another command.
    """
    if path is None:
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    _make(path.parent, "file")
    _require_replaceable(path)
    while not _is_at(claim(lock, os.O_RDWR | os.O_CREAT)):
        _release(lock)  # another command removed it between the opening and the locking
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        _release(lock)


def _require_replaceable(path: Path) -> None:
    """A device or a pipe (`/dev/null`, `/dev/stdout`) would be gone after the replacement, for everybody.

    Raises:
        RunFolderError: it is not a file, or cannot be written.
    """
    if path.exists() and not path.is_file():
        raise RunFolderError(f"{path}: cannot be written: not a file")
    if path.exists() and not os.access(path, os.W_OK):
        raise RunFolderError(f"{path}: cannot be written")


def _is_at(lock: Path) -> bool:
    """Whether the locked file is still the one of that name."""
    number = _CLAIMED.get(os.path.realpath(lock))
    try:
        return number is None or os.path.samestat(os.fstat(number), lock.stat())
    except FileNotFoundError:
        return False


def _release(path: Path) -> None:
    number = _CLAIMED.pop(os.path.realpath(path), None)
    if number is not None:
        os.close(number)


def replace(path: Path, text: str, mode: int = 0o666) -> Path:
    """Writes a file atomically: a reader sees the old text or the new one. `mode` is reduced by the umask.

    Raises:
        OSError: with the name of the file.
    """
    _require_replaceable(path)
    with whole(path) as partial:
        partial.touch(mode)
        partial.write_text(text, encoding="utf-8")
    return path


def point_latest(folder: Path) -> None:
    """Points the link `latest` beside the folder to it; ignores a file system without links.

    A file of that name is the user's: `--out` may be anywhere.
    """
    link = folder.parent / LATEST
    with suppress(OSError):
        if link.is_symlink():
            link.unlink()
        link.symlink_to(folder.name, target_is_directory=True)


def write_plan(folder: Path, document: dict[str, Any]) -> None:
    """Writes plan.json, all inputs of the run."""
    replace(folder / PLAN_FILE, json.dumps(document, indent=1, sort_keys=True) + "\n")


def commit() -> str:
    """The commit of the checkout, with `+` appended if the tree has changes; empty outside a checkout."""
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
    """Runs the plan to its end. Without a folder the record stays in memory.

    Raises:
        RuntimeUnavailable: the runtime cannot run this plan or cannot start.
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
        # Created on the running loop, which the sessions of the runtime need.
        keeper = _trace_keeper(plan, Clock(world.loop.time, world.epoch_s), folder)
        testbed = VirtualRuntime(world, keeper.tracing) if keeper is not None else VirtualRuntime(world)
        experiments.append(Experiment(plan, testbed, _recorder(folder), observers=observers, traces=keeper))
        await experiments[0].run()

    return _settle(lambda: simulate(world, main()), experiments, document, folder)


def simulate(world: "VirtualWorld", main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` in virtual time.

    Raises:
        Interrupted: after the world is closed, if a signal arrived.
    """
    heard: list[Interrupted] = []

    def hear(interrupted: Interrupted) -> None:
        """Raises the interrupt in a loop callback. Only the first one, so that closing is not interrupted."""
        if not heard:
            world.loop.call_soon(_raise, interrupted)
        heard.append(interrupted)

    with on_signal(hear):
        result = world.run(main)
    if heard:
        raise heard[0]
    return result


def _trace_keeper(plan: Plan, clock: Clock, folder: Path | None) -> "TraceKeeper | None":
    if not plan.tracing.enabled:
        return None
    from chaos.record.traces import TraceKeeper

    return TraceKeeper(plan.tracing, clock, folder=folder)


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
    """Creates the runtime of that name without starting it; call it on the loop it will run on."""
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
        except SystemExit as error:  # nothing of ours ends the process inside a run
            raise PartError(f"a part of your own ended the run: SystemExit: {error}") from error
        finally:
            recorder = experiments[0].recorder if experiments else None
            if recorder is not None:
                recorder.close()
            if folder is not None:
                point_latest(folder)
    return Finished(folder, recorder, document, problem, interrupted)


def quiet_libraries() -> None:
    """Silences the log of aiohttp and asyncio, which report every connection that a crash resets."""
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
