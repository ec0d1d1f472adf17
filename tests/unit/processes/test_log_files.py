"""The log files of the local runtime have no bound of their own, so nothing that goes on for ever is written there."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from compose import local
from compose.topology import InstanceSpec, RegionSpec, Topology
from services.chassis.environment import from_environment
from services.chassis.process import ProcessSettings, process_env


def test_event_lines_of_the_local_runtime_go_to_the_store_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seen: dict[str, Mapping[str, str]] = {}

    def child(name: str, _command: object, _log: Path, environment: Mapping[str, str]) -> None:
        seen[name] = environment

    async def main(spec: InstanceSpec) -> None:
        runtime = local.LocalRuntime(tmp_path)
        runtime._spawn(spec, 1)
        runtime._children.clear()
        await runtime.stop()
        env, sink, _ = process_env(spec.service, from_environment(ProcessSettings, seen[spec.name]))
        env.events.emit("operation")
        await env.http.close()
        assert len(sink._buffer) == 1

    monkeypatch.setattr(local, "Child", child)
    monkeypatch.setattr(local, "free_ports", lambda count: list(range(1, count + 1)))
    asyncio.run(main(Topology((RegionSpec("eastus", "East US"),)).instances()[0]))
    assert capsys.readouterr().out == ""
