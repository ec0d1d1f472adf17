"""Loads a run into the testbed's Prometheus as blocks, made by its own tool from OpenMetrics text.

Remote write would be quicker, but the testbed's Prometheus accepts no writes: its port is open to every page in a
browser of this machine. Blocks come in through its volume, which only Docker can reach. The tool runs in a container of
its own, because the memory of Prometheus' container is measured for Prometheus.
"""

import asyncio
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from chaos.export.openmetrics import write_text
from chaos.watch.series import RUN, PlacedRun
from compose.docker_engine import DockerContainer, DockerEngine
from compose.runtime import RuntimeUnavailable
from compose.scratch import scratch_folder
from services.chassis.http import HttpClient

SERVICE, PORT = "prometheus", 9090
TEXT, FOLDER, DATA = "run.openmetrics.txt", "/tmp", "/prometheus"
PROMTOOL = ("/bin/promtool", "tsdb", "create-blocks-from", "openmetrics", f"{FOLDER}/{TEXT}", DATA)
TRIES, ASK_EVERY_S, TIMEOUT_S = 75, 2.0, 10.0
"""Prometheus looks for new blocks once a minute."""


async def load(placed: PlacedRun, prometheus: DockerContainer, engine: DockerEngine) -> None:
    """Writes the blocks of the run to the volume of Prometheus.

    Raises:
        RuntimeUnavailable: the tool failed.
    """
    with scratch_folder() as folder, tempfile.TemporaryFile() as tar:
        text = folder / TEXT
        with text.open("w", encoding="utf-8") as file:
            write_text(file, placed.table(), placed.zero_epoch_s)
        _pack(text, tar)
        await engine.run_beside(prometheus, PROMTOOL, tar, FOLDER)


def _pack(path: Path, tar: IO[bytes]) -> None:
    with tarfile.open(fileobj=tar, mode="w:gz", compresslevel=1) as archive:
        archive.add(path, path.name, filter=_readable)
    tar.seek(0)


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Prometheus' tool is no root."""
    member.mode = 0o644
    return member


async def visible(placed: PlacedRun, base_url: str, http: HttpClient) -> None:
    """Waits until Prometheus answers with the run.

    Raises:
        RuntimeUnavailable: it does not answer, or has not found the blocks in time.
    """
    query = {"query": f'count({{{RUN}="{placed.name}"}})', "time": f"{placed.epoch_ms(placed.record.end) / 1000:.3f}"}
    for _ in range(TRIES):
        reply = await http.call("GET", f"{base_url}/api/v1/query", timeout_s=TIMEOUT_S, params=query)
        if not reply.ok:
            raise RuntimeUnavailable(f"Prometheus at {base_url}: {reply.failure or f'status {reply.status}'}")
        if reply.json()["data"]["result"]:
            return
        await asyncio.sleep(ASK_EVERY_S)
    raise RuntimeUnavailable(
        f"Prometheus at {base_url} has not found the blocks of the run in {TRIES * ASK_EVERY_S:.0f} s"
    )
