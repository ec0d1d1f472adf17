"""The kill drill against a testbed in memory: a sound one keeps every promise, and each broken promise is named."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.exceptions import RedisError

from chaos.faults.registry import CATALOGUE
from chaos.kills.command import _rounds, _victims
from chaos.kills.desk import CONTROLLER, Condition, Desk, operate_token
from chaos.kills.drill import KILLS_A_ROUND, Drill, Round
from chaos.kills.faults import GIVEN_UP_S, PARAMETERS
from chaos.kills.orders import operations
from chaos.record.files import NotWhole
from compose.docker_engine import DockerContainer
from compose.runtime import RuntimeUnavailable
from compose.topology import InstanceSpec
from services.chassis.clock import Clock
from services.chassis.http import HttpReply
from services.provisioner.state import ProvisioningOperation

NAMES = ("provisioner-eastus", "identity-eastus-1", "router-eastus", "redis", CONTROLLER)
DOWN_S, WORK_S = 3.0, 5.0
NO_ANSWER = HttpReply(0, {}, b"", failure="refused")


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpReply:
    return HttpReply(status, dict(headers or {}), json.dumps(body).encode())


@dataclass
class MemoryTestbed:
    """Stands for `Desk`, its runtime and its engine at once. `defect` breaks one promise; `silent` never answers."""

    defect: str = ""
    silent: str = ""
    operations_: dict[str, float] = field(default_factory=dict)
    down_until: dict[str, float] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(asyncio.get_running_loop().time, 0.0)
        self.http = self
        self.runtime = self
        self.engine = self
        self.run_began: float | None = None

    # the runtime
    def instances(self) -> list[InstanceSpec]:
        return [InstanceSpec(name.partition("-")[0], "eastus", name) for name in NAMES if "-" in name]

    def targets(self) -> list[Any]:
        return [SimpleNamespace(spec=spec, url=f"http://{spec.name}") for spec in self.instances()]

    async def refresh(self) -> None: ...

    async def call(self, method: str, url: str, **_options: Any) -> HttpReply:
        machine = url.rpartition("/")[2].partition("?")[0]
        if method == "PUT":
            if self._down("provisioner-eastus"):
                return NO_ANSWER
            self.operations_[machine] = self.clock.now() + WORK_S
            return answer({}, 202, {"Azure-AsyncOperation": f"http://operations/{machine}"})
        return answer({"status": self._status(machine)})

    # the desk
    async def answers(self) -> bool:
        return not self._down(CONTROLLER)

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        self.calls.append(f"{method} {path}")
        assert not self._down(CONTROLLER)
        if path == "/v1/reset":
            self.operations_.clear()
            self.faults.clear()
        if path == "/v1/runs":
            self.run_began = self.clock.now()
        orphan = [{"id": "left"}] if self.defect == "orphans" else []
        return {"faults": orphan, "mitigations": [], "run": None, "banner": None}

    async def chaos(self, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> HttpReply:
        if self._down(CONTROLLER):
            return NO_ANSWER
        if path == "/v1/runs/current":
            t = -1.0 if self.run_began is None else self.clock.now() - self.run_began
            return answer({"state": "running" if self.run_began is not None else "done", "now": {"t": t}})
        if method == "POST":
            name = f"fault-{len(self.faults)}"
            ends_s = self.clock.now() + (GIVEN_UP_S * 2 if self.defect == "overdue" else body["lease_s"])
            self.faults[name] = (body["kind"], body["target"].get("instance", "redis"), ends_s)
            return answer({"id": name}, 201)
        if self.silent == "listing":
            return NO_ANSWER
        return answer({"faults": [{"id": key} for key, fault in self.faults.items() if self.clock.now() < fault[2]]})

    async def operations(self) -> dict[str, str]:
        if self.silent == "store":
            raise RedisError("no answer")
        known = {name: self._status(name) for name in self.operations_}
        if self.defect == "lost" and self.run_began is None:
            known.pop(next(iter(known)), None)
        return known

    async def containers(self) -> list[DockerContainer]:
        cuts = [
            DockerContainer(f"cut-{key}", "", "running", partition=f"{victim}>redis@{key}")
            for key, (kind, victim, ends_s) in self.faults.items()
            if kind == "partition" and self.clock.now() < ends_s
        ]
        return [DockerContainer(name, name, "running") for name in NAMES] + cuts

    async def condition(self, container: DockerContainer) -> Condition:
        if self.silent == "engine" and self.run_began is None:
            raise RuntimeUnavailable("no answer")
        name, up = container.name, not self._down(container.name)
        felt = {kind for kind, victim, ends_s in self.faults.values() if victim == name and self.clock.now() < ends_s}
        running = up and "crash" not in felt
        return Condition(
            started_at=f"start {self.starts[name]}",
            running=running,
            healthy=running,
            paused=bool(felt & {"freeze", "redis_stall"}),
            cpu_quota=1000 if "cpu_limit" in felt else 0,
        )

    async def kill_process(self, container: DockerContainer) -> None:
        name = container.name
        healed_s = float("inf") if self.defect == "unhealthy" and name == "redis" else self.clock.now() + DOWN_S
        self.down_until[name] = healed_s
        self.starts[name] += 1
        if name == CONTROLLER:
            self.run_began = None

    def _down(self, name: str) -> bool:
        return self.clock.now() < self.down_until.get(name, 0.0)

    def _status(self, name: str) -> str:
        over = self.clock.now() >= self.operations_.get(name, 0.0)
        return "Succeeded" if over and self.defect != "open" else "InProgress"


async def drilled(
    kills: int, defect: str = "", seed: int = 1, silent: str = ""
) -> tuple[list[Round], MemoryTestbed, list[str]]:
    testbed, said = MemoryTestbed(defect, silent), list[str]()
    rounds = await Drill(cast(Desk, testbed), seed, said.append).run(kills)
    return rounds, testbed, said


async def test_a_sound_testbed_keeps_every_promise() -> None:
    rounds, testbed, said = await drilled(60)
    kills = [kill for one in rounds for kill in one.kills]
    assert len(kills) == 60
    assert [kill.victim for kill in kills if kill.healed_s is None] == []
    assert not any(one.broken for one in rounds), said
    assert {kill.victim for kill in kills} == set(NAMES)
    assert all(one.kills[-1].victim == CONTROLLER and len(one.kills) <= KILLS_A_ROUND for one in rounds)
    assert all(one.orders > 0 for one in rounds)
    assert sum(one.faults != [] for one in rounds) > 0
    assert testbed.calls.count("POST /v1/reset") == 2 * len(rounds)
    assert _victims(kills).row_count == len({name.partition("-")[0] for name in NAMES})
    assert _rounds(rounds).row_count == len(rounds)


@pytest.mark.parametrize("defect", ["open", "lost", "unhealthy", "overdue", "orphans"])
async def test_a_broken_promise_is_named(defect: str) -> None:
    rounds, _, said = await drilled(20, defect)
    assert any(getattr(one, defect) for one in rounds)
    assert any(f"{defect.upper()}: " in line for line in said)


@pytest.mark.parametrize(("silent", "promise"), [("store", "open"), ("engine", "unhealthy"), ("listing", "overdue")])
async def test_a_promise_that_could_not_be_checked_counts_as_broken(silent: str, promise: str) -> None:
    rounds, _, _ = await drilled(20, silent=silent)
    assert any(one.violations[promise] for one in rounds)


WHOLE = ProvisioningOperation("op", "vm", "create", "/group/machine", "tenant", 0.0, ())


@pytest.mark.parametrize(
    ("raw", "rule"),
    [(b"{", "EOF"), (b"[]", "dictionary"), (b"{}", "Field required"), (b'{"status": 5}', "Field required")],
)
async def test_an_operation_that_cannot_be_read_ends_the_drill_by_key_and_field(raw: bytes, rule: str) -> None:
    testbed = MemoryTestbed()
    rows = {b"o1": WHOLE.to_json().encode(), b"o2": raw}

    async def hgetall(_key: str) -> dict[bytes, bytes]:
        return rows

    testbed.store = SimpleNamespace(hgetall=hgetall)  # type: ignore[attr-defined]
    testbed.operations = lambda: operations(cast(Any, testbed))  # type: ignore[method-assign]
    with pytest.raises(NotWhole, match=rf"^compute:eastus:operations: o2: not an operation: .*{rule}"):
        await Drill(cast(Desk, testbed), 1, lambda _line: None).run(1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"operate": 1}', b"\xff"])
async def test_tokens_of_the_controller_that_cannot_be_read_are_said(content: bytes) -> None:
    async def found(*_arguments: object) -> Any:
        return {"Config": {"Env": []}}

    async def read_file(*_arguments: object) -> bytes:
        return content

    engine = SimpleNamespace(find=found, inspect=found, read_file=read_file)
    with pytest.raises(RuntimeUnavailable, match=r"controller-tokens\.json of the controller has no operate token"):
        await operate_token(cast(Any, SimpleNamespace(engine=engine)))


async def test_the_same_seed_kills_the_same_at_the_same_seconds() -> None:
    first, again, other = [await drilled(20, seed=seed) for seed in (1, 1, 2)]
    told = [
        [(kill.victim, round(kill.tau_s, 6)) for one in rounds for kill in one.kills]
        + [(fault.kind, fault.target, fault.lease_s) for one in rounds for fault in one.faults]
        for rounds, _, _ in (first, again, other)
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_every_kind_of_fault_has_an_example() -> None:
    assert set(PARAMETERS) == set(CATALOGUE)


async def test_named_victims_die_first_and_the_controller_last() -> None:
    testbed = MemoryTestbed()
    first = ["redis", "router-eastus", "identity-eastus-1"]
    (seen,) = await Drill(cast(Desk, testbed), 1, lambda _line: None, first).run(4)
    assert [kill.victim for kill in seen.kills] == [*first, CONTROLLER]
