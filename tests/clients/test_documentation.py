"""docs/use-your-own-client.md says what works: its Python and curl parts are executed as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.client_bench import Bench

PAGE = Path(__file__).parents[2] / "docs" / "use-your-own-client.md"


def blocks(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found, f"no {language} in {PAGE.name}"
    return "\n".join(found)


def run(bench: Bench, *command: str) -> list[str]:
    addresses = {"BLOB": "blobstore", "IDENTITY": "router", "COMPUTE": "provisioner"}
    environment = {**os.environ, **{name: bench.url(service) for name, service in addresses.items()}}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_python_part_runs(bench: Bench) -> None:
    size, state, code, first, second, parts = run(bench, sys.executable, "-c", blocks("python"))
    assert re.fullmatch(r"\d+ bytes", size)
    assert (state, code) == ("Succeeded", "ProvisioningState/succeeded")
    assert (first, second) == ("identity_provider", "cache")
    assert parts == f"{size.removesuffix(' bytes')} 4"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_part_runs(bench: Bench) -> None:
    read, created, view = run(bench, "bash", "-euo", "pipefail", "-c", blocks("bash"))
    assert (read, created) == ("200", "201")
    assert '"statuses"' in view


def test_the_page_names_the_subscription_that_there_is(bench: Bench) -> None:
    assert bench.subscription in PAGE.read_text(encoding="utf-8")
