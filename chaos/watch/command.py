"""The command `watch`: a record in the dashboards of the Docker testbed."""

from pathlib import Path
from urllib.parse import urlencode

import aiohttp
from rich.console import Console

from chaos.record.record import RecordError, RunRecord
from chaos.watch.blocks import PORT, SERVICE, load, visible
from chaos.watch.series import RUN, PlacedRun
from compose.docker_engine import HOST, DockerContainer, DockerEngine
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import system_clock
from services.chassis.exit_codes import EXPECTED
from services.chassis.http import HttpClient
from services.chassis.interrupts import run as run_until_signal

DASHBOARDS = ("aftershock-incident", "aftershock-region", "aftershock-policies", "aftershock-chaos")
GRAFANA, GRAFANA_PORT = "grafana", 3000
LONGEST_S = 5 * 3600.0
"""Prometheus keeps six hours."""


def watch_command(folder: Path, project: str, console: Console) -> int:
    """Loads the record in `folder`, placed so that it ended just now; returns the exit code."""
    record = RunRecord.load(folder)
    length_s = record.end - record.start
    if length_s > LONGEST_S:
        raise RecordError(f"{folder}: {length_s:.0f} s long; Prometheus keeps no more than {LONGEST_S:.0f} s of a run")
    placed = PlacedRun.ending(record, system_clock().epoch())
    grafana = run_until_signal(_watch(placed, project, console))
    for uid in DASHBOARDS:
        console.print(dashboard_url(placed, grafana, uid), highlight=False, soft_wrap=True)
    return EXPECTED


async def _watch(placed: PlacedRun, project: str, console: Console) -> str:
    """Loads the run, waits until Prometheus has it, and returns the address of Grafana."""
    engine = DockerEngine(project)
    http = HttpClient(aiohttp.ClientSession())
    try:
        containers = {container.name: container for container in await engine.containers()}
        prometheus = containers.get(SERVICE)
        if prometheus is None or not prometheus.alive:
            raise RuntimeUnavailable(f"no Prometheus of project {project!r} runs; start the testbed: make up")
        console.print(f"loading {placed.record!r} as run {placed.name!r}", highlight=False, soft_wrap=True)
        await load(placed, prometheus, engine)
        console.print("waiting for Prometheus, which looks for new blocks once a minute")
        await visible(placed, _address(prometheus, PORT), http)
        return _address(containers.get(GRAFANA), GRAFANA_PORT)
    finally:
        await http.close()
        await engine.close()


def _address(container: DockerContainer | None, port: int) -> str:
    """Where this machine reaches a port of a container; a default if it is not published."""
    published = (container.host_ports or {}) if container else {}
    return f"http://{HOST}:{published.get(port, port)}"


def dashboard_url(placed: PlacedRun, grafana: str, uid: str) -> str:
    """A dashboard with the run chosen, from its first sample to its last: single values are those at its end."""
    ends = {"from": placed.epoch_ms(placed.record.start), "to": placed.epoch_ms(placed.record.end)}
    return f"{grafana}/d/{uid}?{urlencode({f'var-{RUN}': placed.name, **ends})}"
