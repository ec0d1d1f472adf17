"""A cluster of two machines, played by two network namespaces: same results as here, also when a machine dies.

Needs root and `ip` of iproute2.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from chaos.studies.cache import Cache
from chaos.studies.engine import StudyEngine, cluster
from chaos.studies.matrix.job import CODEC, MatrixRun, perform, perform_apart
from chaos.studies.matrix.outcomes import RunOutcome
from chaos.studies.pool import processes
from compose.children import bound, python
from tests.unit.matrix.test_cluster import TINY

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"),
]
ROOT = Path(__file__).parents[3]
NAME = f"afs{os.getpid() % 100_000}"
"""Of bridge and namespaces: an interface name has at most 15 characters."""
NETWORK = "198.18.77"
"""A part of the range that is reserved for tests of networks, RFC 2544."""
STARTED_S = 30.0
JOBS = 8


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def machines() -> Iterator[list[str]]:
    """Two network namespaces on a bridge of their own; this process is reached at .1."""
    bridge = f"{NAME}b"
    with ExitStack() as undo:
        ip("link", "add", bridge, "type", "bridge")
        undo.callback(ip, "link", "del", bridge)
        ip("addr", "add", f"{NETWORK}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        names = [f"{NAME}n{number}" for number in (2, 3)]
        for number, name in enumerate(names, 2):
            ip("netns", "add", name)
            undo.callback(ip, "netns", "del", name)
            ip("link", "add", f"{NAME}v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{NAME}v{number}", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with whatever it starts; all of it is killed at the end."""
    process = subprocess.Popen(bound(list(command)), cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def workers(machines: list[str]) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The scheduler's address, and one worker in each namespace."""
    with socket.socket() as free:
        free.bind((f"{NETWORK}.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://{NETWORK}.1:{port}"
    scheduler = python("-m", "distributed.cli.dask_scheduler", "--host", f"{NETWORK}.1", "--port", str(port))
    worker = python("-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
    with ExitStack() as running:
        running.enter_context(started(*scheduler, "--no-dashboard"))
        yield (
            address,
            [running.enter_context(started("ip", "netns", "exec", name, *worker)) for name in machines],
        )


def outcomes(engine: StudyEngine[MatrixRun, RunOutcome], jobs: list[MatrixRun]) -> dict[MatrixRun, RunOutcome]:
    found = engine.outcomes(jobs)
    assert engine.computed == len(jobs), "nothing came from a cache"
    return found


def test_two_machines_give_what_one_gives_and_one_of_them_may_die(
    workers: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(TINY)
    jobs = [MatrixRun(str(scenario), seed) for seed in range(1, JOBS + 1)]
    address, (_first, second) = workers
    with processes(2) as pool:
        here = outcomes(StudyEngine(pool, perform, Cache(tmp_path / "here", CODEC)), jobs)
    with cluster(address, timeout_s=STARTED_S) as executor:
        _await_workers(address, 2)
        engine = StudyEngine(executor, perform_apart, Cache(tmp_path / "there", CODEC))
        seen: list[int] = []

        def done(job: MatrixRun, _outcome: RunOutcome) -> None:
            if not seen:
                os.killpg(second.pid, signal.SIGKILL)
            seen.append(job.seed)

        there = engine.outcomes(jobs, done=done)
    assert second.wait() == -signal.SIGKILL
    assert sorted(seen) == list(range(1, JOBS + 1))
    assert [one.problem for one in here.values()] == [""] * JOBS
    assert there == here


def _await_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=STARTED_S)
        hosts = {info["host"] for info in client.scheduler_info()["workers"].values()}
        end = time.monotonic() + STARTED_S
        while len(hosts) < count:
            assert time.monotonic() < end
            time.sleep(0.1)
            hosts = {info["host"] for info in client.scheduler_info()["workers"].values()}
    assert hosts == {f"{NETWORK}.{number}" for number in (2, 3)}
