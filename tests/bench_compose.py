"""The Docker part of `make bench`: start-up, memory, processor time and size of the testbed under `docker compose`.

It brings up a project of its own on ports of its own, without Grafana, and takes it down. Without a Docker engine it
says so and measures nothing. CPU is what the kernel counted for each container (healthchecks included), in cores.
"""

import asyncio
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException
from rich.console import Console

from chaos.progress.terminal import table
from services.chassis.http import HttpClient
from services.chassis.process import real_session

ROOT = Path(__file__).parent.parent
PROJECT = "aftershock-bench"
TOKEN = "bench-only"
PORTS = {
    "AFTERSHOCK_PORTS": "38",
    "CONTROLLER_PORT": "38090",
    "GRAFANA_PORT": "33000",
    "PROMETHEUS_PORT": "39090",
    "ALERTMANAGER_PORT": "39093",
}
CONTROLLER = f"http://127.0.0.1:{PORTS['CONTROLLER_PORT']}"
ENVIRONMENT = {**PORTS, "COMPOSE_PROJECT_NAME": PROJECT, "AFTERSHOCK_OPERATE_TOKEN": TOKEN}
WITHOUT = ("grafana",)
BASE_IMAGE = "python:3.13-slim-trixie"
SCENARIO = "azure-fnj8-vqz-short"
REGIONS = ("centraluseuap", "eastus", "westus", "northeurope")
WINDOW_S = 20.0
STORM_T = (85.0, 125.0)
MB = 1_000_000


def compose(*arguments: str) -> str:
    command = ["docker", "compose", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True, text=True
    ).stdout


class Meter:
    """Reads all containers of the project at once."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def read(self) -> tuple[float, float]:
        """CPU seconds used so far, and megabytes in use (without what the kernel may drop: the page cache)."""
        containers = self._client.containers.list(filters={"label": f"com.docker.compose.project={PROJECT}"})
        with ThreadPoolExecutor(len(containers)) as pool:
            rows: list[dict[str, Any]] = list(pool.map(lambda one: one.stats(stream=False, one_shot=True), containers))
        cpu_s = sum(row["cpu_stats"]["cpu_usage"]["total_usage"] for row in rows) / 1e9
        return cpu_s, sum(_memory(row["memory_stats"]) for row in rows) / MB

    def over(self, seconds: float) -> tuple[float, float]:
        """Cores and megabytes over a while."""
        before, start = self.read(), time.monotonic()
        time.sleep(seconds)
        after = self.read()
        return (after[0] - before[0]) / (time.monotonic() - start), max(before[1], after[1])


def _memory(stats: dict[str, Any]) -> float:
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return float(stats.get("usage", 0) - cache)


async def ask(method: str, path: str, body: Any = None) -> Any:
    http = HttpClient(real_session())
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        reply = await http.call(method, CONTROLLER + path, json=body, headers=headers, timeout_s=120.0)
        if not reply.ok:
            raise RuntimeError(f"{method} {path}: {reply.failure or reply.status} {reply.body.decode()[:300]}")
        return reply.json()
    finally:
        await http.close()


def call(method: str, path: str, body: Any = None) -> Any:
    return asyncio.run(ask(method, path, body))


def users(factor: float) -> None:
    for region in REGIONS:
        call("POST", "/v1/operations/load", {"region": region, "factor": factor})


def storm(meter: Meter) -> tuple[float, float, str]:
    """The highest CPU and memory over a few seconds at the worst of the incident, and the state of the run then."""
    run = call("POST", "/v1/runs", {"scenario": SCENARIO, "seed": 1})
    cores, memory_mb, seen = 0.0, 0.0, ""
    while True:
        now = call("GET", "/v1/runs/current")
        if now["state"] in ("failed", "done", "aborted"):
            return cores, memory_mb, f"run {run['id']} {now['state']}: {now['why']}"
        t = now["now"].get("t", -1.0)
        if t > STORM_T[1]:
            call("DELETE", "/v1/runs/current")
            return cores, memory_mb, seen
        if t < STORM_T[0]:
            time.sleep(1.0)
            continue
        some_cores, some_mb = meter.over(5.0)
        cores, memory_mb = max(cores, some_cores), max(memory_mb, some_mb)
        seen = f"{now['now']['attempts_per_s']:.0f} attempts/s, ×{now['now']['amplification']}"


def layers_mb(client: docker.DockerClient) -> dict[str, float]:
    """What our images add to the base image."""
    base = client.images.get(BASE_IMAGE).attrs["Size"]
    return {
        kind: (client.images.get(f"{PROJECT}-{kind}").attrs["Size"] - base) / MB for kind in ("services", "controller")
    }


def measure(console: Console, client: docker.DockerClient) -> None:
    summary = table("the testbed in Docker, without Grafana", "measured", title="docker compose")
    compose("build")
    services = [name for name in compose("config", "--services").split() if name not in WITHOUT]
    start = time.monotonic()
    compose("up", "--detach", "--wait", *services)
    summary.add_row(
        f"from `up` to {len(services)} healthy containers, images built", f"{time.monotonic() - start:.0f} s"
    )
    for kind, size in layers_mb(client).items():
        summary.add_row(f"our layers on the base image: {kind}", f"{size:.0f} MB")
    meter = Meter(client)
    users(0)
    time.sleep(WINDOW_S)
    for name, factor in (("at rest, no users", None), ("with the users of a calm day", 1.0)):
        if factor is not None:
            users(factor)
            time.sleep(WINDOW_S)
        cores, memory_mb = meter.over(WINDOW_S)
        summary.add_row(name, f"{cores:.2f} cores, {memory_mb:.0f} MB")
    summary.add_row("`POST /v1/reset`", f"{call('POST', '/v1/reset')['took_s']:.0f} s")
    cores, memory_mb, seen = storm(meter)
    summary.add_row(f"peak of the storm ({seen})", f"{cores:.2f} cores, {memory_mb:.0f} MB")
    console.print(summary)


def main(console: Console | None = None) -> None:
    """Measures, or says why it cannot."""
    console = console or Console()
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        console.print(f"docker compose: not measured, no Docker engine answers ({error})", soft_wrap=True)
        return
    if shutil.which("docker") is None:
        console.print("docker compose: not measured, there is no `docker` on the PATH")
        return
    try:
        measure(console, client)
    except (subprocess.CalledProcessError, RuntimeError) as error:
        said = getattr(error, "stderr", "") or str(error)
        console.print(f"docker compose: not measured: {said[-800:]}", soft_wrap=True, markup=False)
    finally:
        subprocess.run(
            ["docker", "compose", "down", "--volumes", "--remove-orphans", "--timeout", "1"],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
        )
        client.close()


if __name__ == "__main__":
    main()
