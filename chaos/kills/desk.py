"""What the kill drill asks of a Docker testbed from outside: the controller, the store, the containers, the kernel."""

from dataclasses import dataclass
from typing import Any

from chaos.controller.auth import tokens_in
from chaos.controller.settings import TOKEN_FILE, ControllerSettings
from chaos.kills.orders import operations
from compose.docker import DockerRuntime
from compose.docker_engine import HOST, DockerContainer
from compose.runtime import RuntimeUnavailable, UnknownInstance
from services.chassis.environment import variable
from services.chassis.http import HttpReply

CONTROLLER = "controller"
CONTROLLER_PORT = ControllerSettings.model_fields["port"].default
TOKEN = variable("operate_token")
RUNS = "/app/runs"
"""The controller's folder of runs in its container."""
CALL_TIMEOUT_S = 120.0
NOT_KILLED = frozenset({"grafana"})
"""Keeps its dashboards in files and has no part in any promise."""


@dataclass(frozen=True)
class Condition:
    """One container at one moment. `healthy` is true for a running container without a health check.

    `started_at` tells one process from the next. The engine's `RestartCount` does not: it begins again at 0 when
    somebody starts the container, as the end of a crash fault does.
    """

    started_at: str
    running: bool
    healthy: bool
    paused: bool
    cpu_quota: int


class Desk:
    """One HTTP client, one connection to the store, one to the engine; all of one compose project."""

    def __init__(self, runtime: DockerRuntime, token: str, controller_url: str) -> None:
        self.runtime = runtime
        self._token = token
        self._controller_url = controller_url

    # The controller

    async def chaos(self, method: str, path: str, body: Any = None, *, timeout_s: float = CALL_TIMEOUT_S) -> HttpReply:
        headers = {"Authorization": f"Bearer {self._token}"}
        return await self.runtime.http.call(
            method, self._controller_url + path, json=body, headers=headers, timeout_s=timeout_s
        )

    async def done(self, method: str, path: str, body: Any = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """What the controller answered.

        Raises:
            RuntimeUnavailable: with its words, when it refused or did not answer.
        """
        reply = await self.chaos(method, path, body, timeout_s=timeout_s)
        if not reply.ok:
            raise RuntimeUnavailable(f"{method} {path}: {reply.failure or reply.status} {reply.body.decode()[:300]}")
        return reply.json()

    async def answers(self) -> bool:
        """Whether the controller lives; its status would wait for instances that are frozen."""
        return (await self.chaos("GET", "/healthz", timeout_s=2.0)).ok

    # The store

    async def operations(self) -> dict[str, str]:
        """Status of every operation that a provisioner has in the store, by id."""
        return await operations(self.runtime)

    # Containers

    async def containers(self) -> list[DockerContainer]:
        return [one for one in await self.runtime.engine.containers() if one.compose_service not in NOT_KILLED]

    async def condition(self, container: DockerContainer) -> Condition:
        raw = await self.runtime.engine.inspect(container)
        state = raw["State"]
        health = state.get("Health", {}).get("Status", "healthy")
        return Condition(
            started_at=str(state["StartedAt"]),
            running=bool(state["Running"]),
            healthy=bool(state["Running"]) and health == "healthy" and not state["Paused"],
            paused=bool(state["Paused"]),
            cpu_quota=int(raw["HostConfig"]["CpuQuota"]),
        )


async def operate_token(runtime: DockerRuntime) -> str:
    """The operator's token: from the controller's environment, else the one it generated for itself.

    Raises:
        RuntimeUnavailable: when the project has no controller, or it has made no token yet.
    """
    controller = await _controller(runtime)
    raw = await runtime.engine.inspect(controller)
    given = dict(line.partition("=")[::2] for line in raw["Config"]["Env"])
    if given.get(TOKEN):
        return str(given[TOKEN])
    kept = tokens_in(await runtime.engine.read_file(controller, f"{RUNS}/{TOKEN_FILE}")).get("operate")
    if kept is None:
        raise RuntimeUnavailable(f"{RUNS}/{TOKEN_FILE} of the controller has no operate token; restart the controller")
    return kept


async def controller_url(runtime: DockerRuntime) -> str:
    """Where this host reaches the controller."""
    ports = (await _controller(runtime)).host_ports or {}
    return f"http://{HOST}:{ports.get(CONTROLLER_PORT, CONTROLLER_PORT)}"


async def _controller(runtime: DockerRuntime) -> DockerContainer:
    try:
        return await runtime.engine.find(CONTROLLER)
    except UnknownInstance:
        raise RuntimeUnavailable(
            f"project {runtime.engine.project!r} has no controller; start the testbed: make up"
        ) from None
