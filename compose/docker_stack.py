"""Finds the compose project this process may control, and brings it up if it is not running."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from compose.children import bound
from compose.runtime import RuntimeUnavailable

COMPOSE_FILE = Path(__file__).parent / "docker-compose.yaml"
HOST_FILE = COMPOSE_FILE.with_name("docker-compose.host.yaml")
"""Publishes Redis on the host, as a runtime on the host needs."""
DEFAULT_PROJECT = "aftershock"
INSIDE = "AFTERSHOCK_PROJECT"
"""Set by the compose file for the controller: the name of the project that it runs in."""
OUTSIDE = "COMPOSE_PROJECT_NAME"


def locate(environment: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """The project's name, and whether this process runs inside it (names resolve) or outside (published ports)."""
    values = os.environ if environment is None else environment
    inside = values.get(INSIDE, "")
    return inside or values.get(OUTSIDE) or DEFAULT_PROJECT, bool(inside)


def services() -> list[str]:
    """The services declared in the compose file."""
    declared: dict[str, object] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]
    return list(declared)


async def bring_up(project: str, services: Sequence[str]) -> None:
    """`docker compose up --detach` for the given services and their dependencies.

    Raises:
        RuntimeUnavailable: Compose is not installed or failed; the message has the last lines of its output.
    """
    program = shutil.which("docker")
    if program is None:
        raise RuntimeUnavailable("the compose runtime needs Docker with Compose v2: no `docker` on the PATH")
    files = ["--file", str(COMPOSE_FILE), "--file", str(HOST_FILE)]
    command = [program, "compose", *files, "--project-name", project]
    up = bound([*command, "up", "--detach", *services])
    process = await asyncio.create_subprocess_exec(*up, stdout=PIPE, stderr=STDOUT, start_new_session=True)
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        last = " | ".join(output.decode(errors="replace").strip().splitlines()[-5:])
        raise RuntimeUnavailable(f"docker compose up failed: {last}")
