"""An operator's desk for the system tests: calls to the controller, questions to Prometheus, a look at instances."""

import asyncio
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import chaos.kills.desk
from compose.docker import DockerRuntime
from services.chassis.http import HttpClient, HttpReply
from tests.system.system_testbed import PORTS, PROJECT, TOKENS

PROMETHEUS = f"http://127.0.0.1:{PORTS['PROMETHEUS_PORT']}"
ALERTMANAGER = f"http://127.0.0.1:{PORTS['ALERTMANAGER_PORT']}"
CONTROLLER = f"http://127.0.0.1:{PORTS['CONTROLLER_PORT']}"
FIRING = 'ALERTS{alertstate="firing",alertname!="RaisedByTest",run=""}'
ALERTS_END_S = 120.0
"""Longer than any rule keeps firing: what came before an observed run may have raised alerts."""


@dataclass(frozen=True)
class Line:
    """One series of a range query: its labels, and (Unix time, value) pairs."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Desk(chaos.kills.desk.Desk):
    """Everything a test asks from outside, over one HTTP client."""

    def __init__(self, runtime: DockerRuntime) -> None:
        super().__init__(runtime, TOKENS["AFTERSHOCK_OPERATE_TOKEN"], CONTROLLER)
        self.http: HttpClient = runtime.http

    # The controller

    async def inject(self, kind: str, target: dict[str, str], lease_s: float, **more: Any) -> str:
        body = {"kind": kind, "target": target, "lease_s": lease_s, **more}
        return str((await self.done("POST", "/v1/faults", body))["id"])

    async def shows_other_run(self) -> bool:
        return ((await self.done("GET", "/v1/status"))["banner"] or {}).get("kind") == "run"

    # Instances

    def url(self, name: str) -> str:
        return next(target.url for target in self.runtime.targets() if target.spec.name == name)

    async def ask(self, name: str, path: str = "/readyz", timeout_s: float = 2.0) -> HttpReply:
        return await self.http.call("GET", self.url(name) + path, timeout_s=timeout_s)

    async def ready(self, name: str) -> bool:
        return (await self.ask(name)).ok

    async def all_ready(self) -> bool:
        names = [spec.name for spec in self.runtime.instances()]
        return all(await asyncio.gather(*(self.ready(name) for name in names)))

    # Prometheus

    async def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        asked = {"query": expression, **({} if at is None else {"time": f"{at:.3f}"})}
        found: list[dict[str, Any]] = (await self._prometheus("query", asked))["result"]
        return found

    async def no_alert_fires(self) -> bool:
        return not await self.query(FIRING)

    async def curve(self, expression: str, start: float, end: float) -> list[Line]:
        asked = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": "1"}
        result = (await self._prometheus("query_range", asked))["result"]
        return [Line(row["metric"], [(float(t), float(v)) for t, v in row["values"]]) for row in result]

    async def _prometheus(self, call: str, asked: dict[str, str]) -> Any:
        reply = await self.http.call("GET", f"{PROMETHEUS}/api/v1/{call}?{urlencode(asked)}", timeout_s=10.0)
        assert reply.ok, f"{asked['query']}: {reply.failure or reply.body.decode()}"
        return reply.json()["data"]


def dashboard_queries(root: Path) -> list[tuple[str, str]]:
    """Every query of every dashboard, with what asks it."""
    found = []
    for path in sorted((root / "grafana" / "dashboards").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for panel in document["panels"]:
            found += [(f"{path.stem}: {panel['title']}", target["expr"]) for target in panel["targets"]]
        found += [(f"{path.stem}: mark {mark['name']}", mark["expr"]) for mark in document["annotations"]["list"]]
    return [(name, expression.replace("$region", "eastus").replace("$run", "")) for name, expression in found]


def copy_run(run: str, into: Path) -> Path:
    """The record of a run, out of the controller's volume."""
    source = f"{PROJECT}-controller-1:/app/runs/{run}"
    subprocess.run(["docker", "cp", source, str(into)], check=True, capture_output=True)
    return into / run


def total(lines: Sequence[Line]) -> list[tuple[float, float]]:
    """The sum of several lines at each time."""
    sums: dict[float, float] = {}
    for line in lines:
        for t, value in line.points:
            sums[t] = sums.get(t, 0.0) + value
    return sorted(sums.items())
