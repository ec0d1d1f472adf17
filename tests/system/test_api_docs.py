"""docs/chaos-api.md, command for command, against the running testbed: bash and curl, as a reader would.

The document's own `chaos` function is used; only the status line is added to what it prints. `RUN` and `OTHER` stand
for records, and there is none before a run has been judged, so calls about records have tests elsewhere.
"""

import re
import shlex
import subprocess
from typing import Any

import pytest

from tests.system.system_desk import CONTROLLER, Desk
from tests.system.system_testbed import ROOT, TOKENS

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
DOCUMENT = ROOT / "docs" / "chaos-api.md"
STREAM_S = 3
NEEDS_A_RECORD = ("RUN", "OTHER")


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line that calls the controller, in the order of the document."""
    return [line for block in blocks()[1:] for line in block.splitlines() if line.strip()]


def run(command: str) -> tuple[int, str]:
    """The status and the body that the command prints. An event stream never ends: it is cut off after a moment."""
    setup = re.sub(r"^export (CHAOS|TOKEN)=.*$", "", blocks()[0], flags=re.MULTILINE)
    shim = "curl() { command timeout %d curl -w '\\nSTATUS %%{http_code}\\n' \"$@\"; }"
    limit_s = STREAM_S if "/v1/events" in command else 120
    environment = {"CHAOS": CONTROLLER, "TOKEN": TOKENS["AFTERSHOCK_OPERATE_TOKEN"], "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", f"{shim % limit_s}\n{setup}\n{command}"], env=environment, capture_output=True, text=True
    )
    found = re.search(r"STATUS (\d+)", done.stdout)
    return (int(found[1]) if found else 200 if "data: " in done.stdout else 0), done.stdout + done.stderr


@pytest.mark.long
async def test_every_command_of_the_document_works(desk: Desk) -> None:
    await desk.done("POST", "/v1/reset")  # numbers of faults begin anew, so that `f1` is the document's own
    answers = {line: run(line) for line in commands() if not any(word in line for word in NEEDS_A_RECORD)}
    assert len(answers) >= 30
    assert {line: said for line, (status, said) in answers.items() if not 200 <= status < 300} == {}


async def test_every_call_of_the_api_that_acts_is_in_the_document(desk: Desk) -> None:
    shown = {_call(line) for line in commands()}
    document: dict[str, Any] = (await desk.http.call("GET", f"{CONTROLLER}/openapi.json", timeout_s=5.0)).json()
    offered = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    acts = {(method, path) for method, path in offered if method != "GET" and path.startswith("/v1/")}
    assert {call for call in acts if not any(_matches(call, one) for one in shown)} == set()


def _call(line: str) -> tuple[str, str]:
    words = shlex.split(line, comments=True)
    return (words[1], words[2].partition("?")[0]) if words[0] == "chaos" else ("GET", "/v1/events")


def _matches(offered: tuple[str, str], shown: tuple[str, str]) -> bool:
    pattern = re.sub(r"\{\w+\}", "[^/]+", offered[1])
    return offered[0] == shown[0] and re.fullmatch(pattern, shown[1]) is not None
