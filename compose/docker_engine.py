"""Docker engine calls, confined to the containers of one compose project, found by label.

The SDK blocks, so every call runs in a thread. Containers are named by their instance (`identity-eastus-1`) or, if they
are not an instance, by their compose service (`redis`).
"""

import asyncio
import io
import math
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, TypeVar

import docker
from docker.errors import APIError, DockerException, NotFound

from compose.runtime import RuntimeUnavailable, UnknownInstance
from compose.topology import MODULES, InstanceSpec

PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_ONE_OFF = "com.docker.compose.oneoff"
SERVICE, REGION, INSTANCE = "aftershock.service", "aftershock.region", "aftershock.instance"
ADDED = "aftershock.added"
PARTITION = "aftershock.partition"
STALLED_UNTIL = "aftershock.stalled-until"

HOST = "127.0.0.1"
CPU_PERIOD_US = 100_000
STOP_TIMEOUT_S = 8
BESIDE_BYTES, BESIDE_TIMEOUT_S = 2**30, 900
RUNNING, PAUSED = "running", "paused"
GOING, IS_PAUSED, NOT_PAUSED, NOT_RUNNING = "already in progress", "already paused", "is not paused", "is not running"
"""What the engine says when it refuses to do again what has been done."""

T = TypeVar("T")


@dataclass(frozen=True)
class DockerContainer:
    """One container of the project, as listed. `spec` is None if it is not an instance."""

    id: str
    compose_service: str
    state: str
    spec: InstanceSpec | None = None
    added: bool = False
    partition: str = ""
    address: str = ""
    host_ports: Mapping[int, int] | None = None

    @property
    def name(self) -> str:
        return self.spec.name if self.spec else self.partition or self.compose_service

    @property
    def alive(self) -> bool:
        return self.state in (RUNNING, PAUSED)


def read_container(raw: Mapping[str, Any]) -> DockerContainer:
    """Parses an entry of the engine's container list."""
    labels = raw["Labels"]
    service, partition = labels.get(SERVICE, ""), labels.get(PARTITION, "")
    ours = service in MODULES and not partition
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return DockerContainer(
        id=raw["Id"],
        compose_service=labels.get(COMPOSE_SERVICE, ""),
        state=raw["State"],
        spec=InstanceSpec(service, labels.get(REGION, ""), labels[INSTANCE]) if ours else None,
        added=ADDED in labels,
        partition=partition,
        address=next((network["IPAddress"] for network in networks.values() if network["IPAddress"]), ""),
        host_ports={port["PrivatePort"]: port["PublicPort"] for port in raw["Ports"] or () if port.get("PublicPort")},
    )


def copy_of(template: Mapping[str, Any], spec: InstanceSpec) -> dict[str, Any]:
    """The create request for `spec` as a further instance like the inspected `template`.

    Compose treats it as one more replica of the template's service, so that `docker compose down` removes it too.
    """
    config = {key: value for key, value in template["Config"].items() if key not in ("Hostname", "Domainname")}
    own = {"AFTERSHOCK_INSTANCE": spec.name, "AFTERSHOCK_REGION": spec.region}
    config["Env"] = [
        *(line for line in config["Env"] if line.partition("=")[0] not in own),
        *(f"{key}={value}" for key, value in own.items()),
    ]
    number = spec.name.rsplit("-", 1)[1]
    config["Labels"] = {**config["Labels"], INSTANCE: spec.name, COMPOSE_NUMBER: number, ADDED: "true"}
    any_port = {port: [{"HostIp": HOST, "HostPort": ""}] for port in template["HostConfig"]["PortBindings"]}
    config["HostConfig"] = {**template["HostConfig"], "PortBindings": any_port}
    networks = template["NetworkSettings"]["Networks"]
    config["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": [spec.name]} for network in networks}}
    return config


def cutter(victim: DockerContainer, image: str, project: str, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The create request for the helper that partitions `victim`.

    It shares the victim's network namespace, is the only container with NET_ADMIN, and removes itself at its end.
    """
    return {
        "Image": image,
        "Entrypoint": ["python", "-I", "-S", "/app/compose/container/blackhole.py"],
        "Cmd": list(arguments),
        "User": "0:0",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {
            PROJECT: project,
            COMPOSE_SERVICE: victim.compose_service,
            COMPOSE_ONE_OFF: "True",
            PARTITION: name,
        },
        "HostConfig": {
            "NetworkMode": f"container:{victim.id}",
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "AutoRemove": True,
            "Memory": 64 * 2**20,
        },
    }


def stall_mark(store: DockerContainer, image: str, project: str, until: float) -> dict[str, Any]:
    """The create request for the mark of a stall, which is never started."""
    return {
        "Image": image,
        "Labels": {
            PROJECT: project,
            COMPOSE_SERVICE: f"{store.compose_service}-stall",
            COMPOSE_ONE_OFF: "True",
            STALLED_UNTIL: f"{until:.3f}",
        },
        "HostConfig": {"NetworkMode": "none"},
    }


def beside(neighbour: DockerContainer, image: str, project: str, command: Sequence[str]) -> dict[str, Any]:
    """The create request for a command that works on the volumes of `neighbour`."""
    return {
        "Image": image,
        "Entrypoint": [command[0]],
        "Cmd": list(command[1:]),
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {PROJECT: project, COMPOSE_SERVICE: f"{neighbour.compose_service}-helper", COMPOSE_ONE_OFF: "True"},
        "HostConfig": {
            "VolumesFrom": [neighbour.id],
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": BESIDE_BYTES,
        },
    }


class DockerEngine:
    """Asynchronous calls to the engine, confined to one compose project."""

    def __init__(self, project: str, client: docker.DockerClient | None = None) -> None:
        self.project = project
        self._client = client

    async def _call(self, work: Callable[[Any], T]) -> T:
        def run() -> T:
            if self._client is None:
                self._client = docker.from_env()
            return work(self._client.api)

        try:
            return await asyncio.to_thread(run)
        except (DockerException, OSError) as error:  # requests' errors are OSErrors
            raise RuntimeUnavailable(f"Docker: {error}") from error

    async def containers(self) -> list[DockerContainer]:
        """All containers of the project, stopped ones too, by name."""
        raw = await self._call(self._listed)
        found = (read_container(line) for line in raw if STALLED_UNTIL not in line["Labels"])
        return sorted(found, key=lambda container: container.name)

    def _listed(self, api: Any, *labels: str) -> list[dict[str, Any]]:
        """The containers of the project that have the labels, as listed by the engine."""
        found: list[dict[str, Any]] = api.containers(
            all=True, filters={"label": [f"{PROJECT}={self.project}", *labels]}
        )
        return found

    async def find(self, name: str) -> DockerContainer:
        """
        Raises:
            UnknownInstance: listing the known names.
        """
        known = await self.containers()
        for container in known:
            if container.name == name:
                return container
        raise UnknownInstance(f"unknown instance {name!r}; known: {', '.join(container.name for container in known)}")

    async def start(self, container: DockerContainer) -> None:
        await self._call(lambda api: api.start(container.id))

    async def kill(self, container: DockerContainer) -> None:
        """SIGKILL. The engine treats it as a manual stop, so the restart policy does not apply; `start` restarts it."""
        if container.state == PAUSED:
            await self.unpause(container)
        if container.alive:
            await self._call(lambda api: _unless(NOT_RUNNING, lambda: api.kill(container.id)))

    async def stop(self, container: DockerContainer) -> None:
        await self._call(lambda api: api.stop(container.id, timeout=STOP_TIMEOUT_S))

    async def remove(self, container: DockerContainer) -> None:
        await self._call(lambda api: _unless_gone(lambda: api.remove_container(container.id, force=True, v=True)))

    async def pause(self, container: DockerContainer) -> None:
        if container.state == RUNNING:
            await self._call(lambda api: _unless(IS_PAUSED, lambda: api.pause(container.id)))

    async def unpause(self, container: DockerContainer) -> None:
        if container.state == PAUSED:
            await self._call(lambda api: _unless(NOT_PAUSED, lambda: api.unpause(container.id)))

    async def mark_stall(self, store: DockerContainer, until: float) -> None:
        """Records for other processes, outside of `store`, until which Unix time it may be paused."""

        def work(api: Any) -> None:
            image = api.inspect_container(store.id)["Config"]["Image"]
            api.create_container_from_config(stall_mark(store, image, self.project, until))

        await self.unmark_stall()
        await self._call(work)

    async def unmark_stall(self) -> None:
        def work(api: Any) -> None:
            for mark in self._listed(api, STALLED_UNTIL):
                _unless_gone(partial(api.remove_container, mark["Id"]))

        await self._call(work)

    async def stalled_until(self) -> float:
        """The Unix time of the mark; infinite without one."""
        marks = await self._call(lambda api: self._listed(api, STALLED_UNTIL))
        return max((float(mark["Labels"][STALLED_UNTIL]) for mark in marks), default=math.inf)

    async def limit_cpu(self, container: DockerContainer, cpus: float | None) -> None:
        """`docker update --cpus`; None removes the limit."""
        quota = -1 if cpus is None else max(1000, round(cpus * CPU_PERIOD_US))
        await self._call(lambda api: api.update_container(container.id, cpu_period=CPU_PERIOD_US, cpu_quota=quota))

    async def add_like(self, template: DockerContainer, spec: InstanceSpec) -> None:
        """Creates and starts a further instance like `template`."""

        def work(api: Any) -> None:
            config = copy_of(api.inspect_container(template.id), spec)
            created = api.create_container_from_config(config, name=f"{self.project}-{spec.name}-1")
            api.start(created["Id"])

        await self._call(work)

    async def cut(self, victim: DockerContainer, name: str, addresses: Sequence[str], lease_s: float) -> None:
        """Partitions `victim` from the addresses for at most `lease_s` seconds, even if this process dies.

        Returns when the partition is active.

        Raises:
            RuntimeUnavailable: the helper did not start.
        """

        def work(api: Any) -> str:
            image = api.inspect_container(victim.id)["Config"]["Image"]
            config = cutter(victim, image, self.project, name, [f"{lease_s:g}", *addresses])
            created: str = api.create_container_from_config(config)["Id"]
            api.start(created)
            return created

        created = await self._call(work)
        for _ in range(100):
            output = await self._call(lambda api: api.logs(created))
            if b"cut" in output:
                return
            await asyncio.sleep(0.1)
        raise RuntimeUnavailable(f"the helper that partitions {victim.name} did not start")

    async def inspect(self, container: DockerContainer) -> dict[str, Any]:
        """All that the engine knows of a container, as `docker inspect` prints it."""
        raw: dict[str, Any] = await self._call(lambda api: api.inspect_container(container.id))
        return raw

    async def read_file(self, container: DockerContainer, path: str) -> bytes:
        """One file of a container, stopped or not.

        Raises:
            RuntimeUnavailable: when there is none.
        """

        def work(api: Any) -> bytes:
            chunks, _stat = api.get_archive(container.id, path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                member = tar.extractfile(tar.getmembers()[0])
                return member.read() if member else b""

        return await self._call(work)

    async def kill_process(self, container: DockerContainer) -> None:
        """SIGKILL to a container's process from outside of it, as the kernel's out-of-memory killer sends it.

        Unlike `kill` the engine does not count it as a wish: the restart policy starts the container again.
        """
        pid = (await self.inspect(container))["State"]["Pid"]
        script = f"import os; os.kill({pid}, 9)"
        config = {
            "Image": f"{self.project}-services",
            "Entrypoint": ["python", "-I", "-S", "-c", script],
            "User": "0:0",
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {"PidMode": "host", "AutoRemove": True},
        }

        def work(api: Any) -> None:
            created = api.create_container_from_config(config)["Id"]
            api.start(created)
            _unless_gone(lambda: api.wait(created))

        await self._call(work)

    async def run_beside(self, neighbour: DockerContainer, command: Sequence[str], tar: IO[bytes], folder: str) -> None:
        """Runs a command in a container of its own, with the image and the volumes of `neighbour`, without network.

        The files of `tar` are in `folder` there.

        Raises:
            RuntimeUnavailable: it failed; with the last lines of its output.
        """

        def work(api: Any) -> tuple[int, bytes]:
            image = api.inspect_container(neighbour.id)["Config"]["Image"]
            created = api.create_container_from_config(beside(neighbour, image, self.project, command))["Id"]
            try:
                api.put_archive(created, folder, tar)
                api.start(created)
                return api.wait(created, timeout=BESIDE_TIMEOUT_S)["StatusCode"], api.logs(created, tail=5)
            finally:
                _unless_gone(lambda: api.remove_container(created, force=True))

        status, output = await self._call(work)
        if status:
            said = " | ".join(output.decode(errors="replace").splitlines())
            raise RuntimeUnavailable(f"{command[0]} beside {neighbour.name} ended with status {status}: {said}")

    async def log_tail(self, container: DockerContainer, lines: int = 5) -> str:
        raw: bytes = await self._call(lambda api: api.logs(container.id, tail=lines))
        return " | ".join(raw.decode(errors="replace").splitlines())

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close)


def _unless_gone(work: Callable[[], None]) -> None:
    """Removes or awaits what may be gone, or is being removed by another process at this moment."""
    with suppress(NotFound):
        _unless(GOING, work)


def _unless(done: str, work: Callable[[], None]) -> None:
    """Does what another process may do at the same time: the engine then refuses it, and says that it is `done`."""
    try:
        work()
    except APIError as error:
        if done not in str(error.explanation):
            raise
