"""How the runtime reads and writes the Docker engine's documents."""

import asyncio
import math
import socket
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound
from requests import Response

from compose.container import blackhole, healthcheck
from compose.docker_engine import (
    COMPOSE_SERVICE,
    PROJECT,
    DockerContainer,
    DockerEngine,
    copy_of,
    cutter,
    read_container,
)
from compose.docker_stack import locate, services
from compose.runtime import RuntimeUnavailable
from compose.topology import InstanceSpec, node


def listed(**changes: Any) -> dict[str, Any]:
    """A line of the engine's container list, as Docker 20 and 28 give it."""
    return {
        "Id": "abc",
        "State": "running",
        "Labels": {
            "com.docker.compose.project": "aftershock",
            "com.docker.compose.service": "identity-eastus-1",
            "aftershock.service": "identity",
            "aftershock.region": "eastus",
            "aftershock.instance": "identity-eastus-1",
        },
        "Ports": [
            {"IP": "127.0.0.1", "PrivatePort": 8080, "PublicPort": 8211, "Type": "tcp"},
            {"PrivatePort": 9999, "Type": "tcp"},
        ],
        "NetworkSettings": {"Networks": {"aftershock_default": {"IPAddress": "172.18.0.7"}}},
        **changes,
    }


def inspected() -> dict[str, Any]:
    return {
        "Config": {
            "Hostname": "0123456789ab",
            "Domainname": "",
            "Image": "aftershock-services",
            "Cmd": ["services.identity"],
            "Env": ["AFTERSHOCK_INSTANCE=identity-eastus-1", "AFTERSHOCK_REGION=eastus", "AFTERSHOCK_SEED=1"],
            "Labels": {
                "com.docker.compose.project": "aftershock",
                "com.docker.compose.service": "identity-eastus-1",
                "com.docker.compose.container-number": "1",
                "aftershock.service": "identity",
                "aftershock.region": "eastus",
                "aftershock.instance": "identity-eastus-1",
            },
        },
        "HostConfig": {
            "Memory": 134217728,
            "NetworkMode": "aftershock_default",
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8211"}]},
        },
        "NetworkSettings": {"Networks": {"aftershock_default": {"Aliases": ["identity-eastus-1", "0123456789ab"]}}},
    }


def test_an_instance_is_read_from_its_labels() -> None:
    container = read_container(listed())
    assert container.spec == node("eastus", 1)
    assert container.name == "identity-eastus-1"
    assert container.alive
    assert container.address == "172.18.0.7"
    assert container.host_ports == {8080: 8211}


@pytest.mark.parametrize("service", ["controller", ""])
def test_what_is_no_instance_goes_by_its_compose_service(service: str) -> None:
    labels = {"com.docker.compose.service": "redis", **({"aftershock.service": service} if service else {})}
    container = read_container(listed(Labels=labels))
    assert container.spec is None
    assert container.name == "redis"


def test_a_container_without_network_or_ports_is_read_too() -> None:
    container = read_container(listed(State="exited", Ports=None, NetworkSettings=None))
    assert (container.address, container.host_ports, container.alive) == ("", {}, False)


def test_a_paused_container_is_alive() -> None:
    assert read_container(listed(State="paused")).alive


def test_a_new_node_is_like_its_sibling_under_its_own_name() -> None:
    template = inspected()
    created = copy_of(template, node("eastus", 6))
    assert created["Env"] == ["AFTERSHOCK_SEED=1", "AFTERSHOCK_INSTANCE=identity-eastus-6", "AFTERSHOCK_REGION=eastus"]
    assert created["Image"] == "aftershock-services"
    assert created["Cmd"] == ["services.identity"]
    assert created["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert created["HostConfig"]["Memory"] == 134217728
    assert "Hostname" not in created
    aliases = created["NetworkingConfig"]["EndpointsConfig"]["aftershock_default"]["Aliases"]
    assert aliases == ["identity-eastus-6"]
    assert read_container(listed(Labels=created["Labels"])).spec == node("eastus", 6)
    assert template == inspected(), "the template must stay as it was"


def test_a_new_node_takes_any_free_port_on_loopback() -> None:
    bindings = copy_of(inspected(), node("eastus", 6))["HostConfig"]["PortBindings"]
    assert bindings == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}


def test_compose_takes_a_new_node_down_with_its_sibling() -> None:
    labels = copy_of(inspected(), node("eastus", 6))["Labels"]
    assert labels["com.docker.compose.project"] == "aftershock"
    assert labels["com.docker.compose.service"] == "identity-eastus-1"
    assert labels["com.docker.compose.container-number"] == "6"


def test_the_helper_that_cuts_may_change_one_network_and_nothing_else() -> None:
    victim = DockerContainer("abc", "router-eastus", "running", InstanceSpec("router", "eastus", "router-eastus"))
    created = cutter(victim, "aftershock-services", "aftershock", "router-eastus>redis", ["5", "172.18.0.2"])
    host = created["HostConfig"]
    assert host["NetworkMode"] == "container:abc"
    assert (host["CapDrop"], host["CapAdd"], host["AutoRemove"]) == (["ALL"], ["NET_ADMIN"], True)
    helper = read_container(listed(Labels=created["Labels"]))
    assert (helper.spec, helper.partition) == (None, "router-eastus>redis")


def raise_for(status: int, explanation: str) -> None:
    response = Response()
    response.status_code = status
    raise (NotFound if status == 404 else APIError)("refused", response=response, explanation=explanation)


class Api:
    """The part of the engine that creates, lists and removes containers."""

    def __init__(self) -> None:
        self.kept = [listed(Id="r", Labels={PROJECT: "aftershock", COMPOSE_SERVICE: "redis"})]

    def containers(self, *, all: bool, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        def has(line: dict[str, Any], label: str) -> bool:
            name, _, value = label.partition("=")
            return name in line["Labels"] and value in ("", line["Labels"][name])

        return [line for line in self.kept if all and min(has(line, label) for label in filters["label"])]

    def inspect_container(self, _id: str) -> dict[str, Any]:
        return inspected()

    def create_container_from_config(self, config: dict[str, Any]) -> dict[str, str]:
        self.kept.append(listed(Id=f"{len(self.kept)}", State="created", Labels=config["Labels"]))
        return {"Id": self.kept[-1]["Id"]}

    def remove_container(self, container_id: str) -> None:
        self.kept = [line for line in self.kept if line["Id"] != container_id]


def test_the_mark_of_a_stall_is_kept_by_the_engine_and_is_none_of_the_testbeds_containers() -> None:
    async def mark_twice() -> None:
        engine = DockerEngine("aftershock", SimpleNamespace(api=api))  # type: ignore[arg-type]
        assert await engine.stalled_until() == math.inf
        for until in (2000.5, 1000.25):
            await engine.mark_stall(await engine.find("redis"), until)
            assert await engine.stalled_until() == until
            assert [container.name for container in await engine.containers()] == ["redis"]
        assert await DockerEngine("other", SimpleNamespace(api=api)).stalled_until() == math.inf  # type: ignore[arg-type]
        await engine.unmark_stall()
        assert await engine.stalled_until() == math.inf

    api = Api()
    asyncio.run(mark_twice())
    assert [line["Id"] for line in api.kept] == ["r"]


@pytest.mark.parametrize("status", [404, 409])
def test_a_mark_that_another_process_removes_at_the_same_time_is_gone(status: int) -> None:
    class Crowded(Api):
        def remove_container(self, container_id: str) -> None:
            super().remove_container(container_id)
            raise_for(status, f"removal of container {container_id} is already in progress")

    async def unmark() -> None:
        engine = DockerEngine("aftershock", SimpleNamespace(api=api))  # type: ignore[arg-type]
        await engine.mark_stall(await engine.find("redis"), 2000.5)
        await engine.unmark_stall()

    api = Crowded()
    asyncio.run(unmark())
    assert [line["Id"] for line in api.kept] == ["r"]


@pytest.mark.parametrize(
    ("call", "state", "status", "said"),
    [
        ("pause", "running", 500, "Container abc is already paused"),
        ("unpause", "paused", 500, "Container abc is not paused"),
        ("kill", "running", 409, "Container abc is not running"),
    ],
)
def test_what_another_process_does_at_the_same_time_is_done(call: str, state: str, status: int, said: str) -> None:
    def refuse(_id: str) -> None:
        raise_for(status, said)

    api = SimpleNamespace(**{call: refuse})
    container = read_container(listed(State=state))
    engine = DockerEngine("aftershock", SimpleNamespace(api=api))  # type: ignore[arg-type]
    asyncio.run(getattr(engine, call)(container))
    said = "the engine has a problem of its own"
    with pytest.raises(RuntimeUnavailable, match=said):
        asyncio.run(getattr(engine, call)(container))


def test_a_removal_that_the_engine_refuses_is_an_error() -> None:
    class Refusing(Api):
        def remove_container(self, _id: str) -> None:
            raise_for(409, "container is running: stop the container before removing or force remove")

    async def unmark() -> None:
        engine = DockerEngine("aftershock", SimpleNamespace(api=Refusing()))  # type: ignore[arg-type]
        await engine.mark_stall(await engine.find("redis"), 2000.5)
        await engine.unmark_stall()

    with pytest.raises(RuntimeUnavailable, match="stop the container before removing"):
        asyncio.run(unmark())


def test_the_project_is_the_one_of_the_controller_or_of_the_shell() -> None:
    assert locate({}) == ("aftershock", False)
    assert locate({"COMPOSE_PROJECT_NAME": "second"}) == ("second", False)
    assert locate({"AFTERSHOCK_PROJECT": "third", "COMPOSE_PROJECT_NAME": "second"}) == ("third", True)


def test_the_compose_file_says_what_can_be_brought_up() -> None:
    assert {"redis", "loadgen", "router-eastus", "identity-westus-4"} <= set(services())


# Netlink, whose bytes are fixed by the kernel (rtnetlink(7)).


def test_cutting_pins_the_address_to_an_unused_mac_permanently() -> None:
    message = blackhole.neighbour(socket.inet_aton("172.18.0.2"), 7, cut=True)
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    family, _, _, interface, state, _, _ = struct.unpack_from("=BBHiHBB", message, 16)
    assert (length, kind, flags) == (len(message), 28, 0x1 | 0x4 | 0x400 | 0x100)
    assert (family, interface, state) == (socket.AF_INET, 7, 0x80)
    assert dict(blackhole.attributes(message[28:])) == {1: socket.inet_aton("172.18.0.2"), 2: blackhole.UNUSED_MAC}


def test_restoring_deletes_the_entry() -> None:
    message = blackhole.neighbour(socket.inet_aton("172.18.0.2"), 7, cut=False)
    assert struct.unpack_from("=IHH", message)[1:] == (29, 0x1 | 0x4)
    assert dict(blackhole.attributes(message[28:])) == {1: socket.inet_aton("172.18.0.2")}


def test_the_unused_mac_is_unicast_and_locally_administered() -> None:
    assert blackhole.UNUSED_MAC[0] & 0b11 == 0b10


def test_attributes_are_padded_to_four_bytes() -> None:
    both = blackhole.attribute(2, b"\1\2\3\4\5\6") + blackhole.attribute(1, b"\7\7\7\7")
    assert len(both) % 4 == 0
    assert list(blackhole.attributes(both)) == [(2, b"\1\2\3\4\5\6"), (1, b"\7\7\7\7")]


# The health check of the images.


class FakeConnection:
    def __init__(self, answer: bytes) -> None:
        self.answer, self.sent = answer, b""

    def __enter__(self) -> "FakeConnection":
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def makefile(self, _mode: str) -> Any:
        import io

        return io.BytesIO(self.answer)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", 0), (b"HTTP/1.1 503 Service Unavailable\r\n", 1), (b"", 1), (b"200", 1)],
)
def test_only_200_is_healthy(answer: bytes, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(answer)
    asked: list[Any] = []

    def connect(address: object, _timeout: float) -> FakeConnection:
        asked.append(address)
        return connection

    monkeypatch.setattr(socket, "create_connection", connect)
    assert healthcheck.main("/healthz", "8090") == code
    assert asked == [("127.0.0.1", 8090)]
    assert connection.sent.startswith(b"GET /healthz HTTP/1.0\r\n")


def test_no_answer_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert healthcheck.main() == 1


@pytest.mark.real_time
async def test_an_address_is_kept_cut_off_until_the_last_helper_lets_go() -> None:
    here, other = bytes([192, 0, 2, 7]), bytes([192, 0, 2, 70])
    assert not blackhole.is_kept(here)
    first, second = blackhole.keep(here), blackhole.keep(here)
    assert blackhole.is_kept(here)
    assert not blackhole.is_kept(other), "192.0.2.7 is not the beginning of 192.0.2.70"
    first.close()
    assert blackhole.is_kept(here)
    second.close()
    assert not blackhole.is_kept(here)
