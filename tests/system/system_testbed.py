"""`docker compose` on a project of the tests' own, on ports of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT = "aftershock-test"
PORTS = {
    "AFTERSHOCK_PORTS": "28",
    "CONTROLLER_PORT": "28090",
    "GRAFANA_PORT": "23000",
    "PROMETHEUS_PORT": "29090",
    "ALERTMANAGER_PORT": "29093",
}
TOKENS = {"AFTERSHOCK_OPERATE_TOKEN": "operate-in-tests", "AFTERSHOCK_READ_TOKEN": "read-in-tests"}
FILES = "compose/docker-compose.yaml:compose/docker-compose.host.yaml"
UP_TIMEOUT_S = 300
COMMAND_TIMEOUT_S = 600


class Stack:
    """`docker compose` on the test project."""

    def __init__(self) -> None:
        self.environment = {**os.environ, **PORTS, **TOKENS, "COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_FILE": FILES}

    def compose(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"docker compose {' '.join(arguments)}: {done.stderr.strip()[-2000:]}\n{self.complaints()}"
            )
        return done.stdout

    def up(self, *options: str) -> None:
        """All services, healthy, in containers that agree with the environment; others are made again."""
        wait = ["--detach", "--wait", "--wait-timeout", str(UP_TIMEOUT_S)]
        self.compose("up", *options, *wait, *self.services())

    def services(self) -> list[str]:
        wanted = self.compose("config", "--services").split()
        return [name for name in wanted if name not in os.environ.get("AFTERSHOCK_TEST_WITHOUT", "grafana").split()]

    def containers(self) -> list[dict[str, Any]]:
        """One line a container, as `docker compose ps` says it."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json", check=False).splitlines()]

    def inspect(self, service: str, template: str) -> str:
        """`docker inspect --format` of a service's first container."""
        return _docker("inspect", "--format", template, f"{PROJECT}-{service}-1")

    def restarts(self, service: str) -> int:
        """How often the engine has started the service's first container again."""
        return int(self.inspect(service, "{{.RestartCount}}"))

    def complaints(self) -> str:
        """What containers that do not run, or run unhealthily, said last."""
        unwell = [line for line in self.containers() if line["State"] != "running" or line["Health"] == "unhealthy"]
        tails = []
        for line in unwell:
            done = subprocess.run(["docker", "logs", "--tail", "20", line["Name"]], capture_output=True, text=True)
            tails.append(f"--- {line['Name']} ({line['Status']})\n{done.stdout}{done.stderr}")
        return "\n".join(tails)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()
