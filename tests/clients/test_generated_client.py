"""A client that a program wrote from the controller's document: every answer comes back as an object with types."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import psutil
import pytest
import requests

from tests.clients.client_bench import TOKENS, Bench, wait_until

PACKAGE = "aftershock_generated"
CONFIG = """post_hooks: []
content_type_overrides: {image/svg+xml: application/octet-stream}
"""
"""An icon means nothing to a program, and the generator knows no pictures."""

ACCOUNT = "vmextlinuxeastus"
GENERATION_TIMEOUT_S = 100
RUN_TIMEOUT_S = 280.0


@pytest.fixture(scope="module")
def generated(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the package. A part of the document that the generator cannot use is an error."""
    folder = tmp_path_factory.mktemp("generated")
    document = requests.get(f"{bench.controller}/openapi.json", timeout=10).json()
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(folder / "openapi.json")]
    command += ["--config", str(folder / "config.yaml"), "--meta", "none", "--output-path", str(folder / PACKAGE)]
    done = subprocess.run([*command, "--fail-on-warning"], capture_output=True, text=True, timeout=GENERATION_TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield PACKAGE


@pytest.fixture(scope="module")
def api(generated: str, bench: Bench) -> "Api":
    return Api(generated, bench.controller)


class Api:
    """The generated package behind one name: `api.call("faults", "create_fault", …)`."""

    def __init__(self, package: str, base: str) -> None:
        self._package = package
        client = importlib.import_module(f"{package}.client")
        self.operator = client.AuthenticatedClient(base_url=base, token=TOKENS.operate)
        self.reader = client.AuthenticatedClient(base_url=base, token=TOKENS.read)
        self.models: ModuleType = importlib.import_module(f"{package}.models")

    def call(self, tag: str, operation: str, *path: str, client: Any = None, **given: Any) -> Any:
        """The parsed answer, with its status: a `Response` of the generated client."""
        module = importlib.import_module(f"{self._package}.api.{tag}.{operation}")
        return module.sync_detailed(*path, client=client or self.operator, **given)

    def typed(self, model: str, tag: str, operation: str, *path: str, status: int = 200, **given: Any) -> Any:
        """The answer as `model`; nothing else will do."""
        reply = self.call(tag, operation, *path, **given)
        assert reply.status_code == status, reply.content
        assert type(reply.parsed) is getattr(self.models, model), reply.parsed
        return reply.parsed


def test_access_is_flipped_and_seen(api: Api, bench: Bench) -> None:
    for enabled in (False, True):
        changed = api.typed(
            "AccessChanged", "accounts", "flip_account", ACCOUNT, body=api.models.AccessRequest(enabled=enabled)
        )
        assert (changed.enabled, changed.accounts) == (enabled, [ACCOUNT])
        listed = api.typed("AccountList", "accounts", "list_accounts", client=api.reader)
        assert [row.public for row in listed.accounts if row.name == ACCOUNT] == [enabled]


def test_a_fault_is_previewed_injected_listed_and_ended(api: Api, bench: Bench) -> None:
    target = api.models.FaultTarget(service="blobstore", region="eastus")
    parameters = api.models.FaultSpecParameters.from_dict({"status": 503})
    spec = api.models.FaultSpec(kind="http_error", lease_s=60.0, target=target, parameters=parameters)
    preview = api.typed("FaultPreview", "faults", "create_fault", body=spec, dry_run=True)
    assert preview.instances == ["blobstore-eastus"]
    made = api.typed("FaultView", "faults", "create_fault", status=201, body=spec)
    url = f"{bench.url('blobstore')}/{ACCOUNT}/packages/x"
    try:
        wait_until(lambda: requests.get(url, timeout=5).status_code == 503, "the fault is felt")
        listed = api.typed("FaultList", "faults", "list_faults", client=api.reader)
        assert [fault.id for fault in listed.faults] == [made.id]
        assert api.typed("FaultView", "faults", "get_fault", made.id).kind == "http_error"
    finally:
        assert api.typed("FaultEnded", "faults", "end_fault", made.id).state == "ended"
    assert api.typed("FaultList", "faults", "list_faults").faults == []
    wait_until(lambda: requests.get(url, timeout=5).status_code != 503, "the fault is over")


def test_a_refusal_is_parsed_too(api: Api) -> None:
    error = api.typed(
        "Error", "accounts", "flip_account", "nobody", status=404, body=api.models.AccessRequest(enabled=True)
    )
    assert error.error.code == "not_found"
    forbidden = api.typed("Error", "faults", "end_faults", status=403, client=api.reader)
    assert forbidden.error.code == "forbidden"


@pytest.mark.long
@pytest.mark.timeout(300)  # 17 s of work, beside other tests
def test_a_run_is_started_followed_to_its_end_and_read(api: Api, bench: Bench) -> None:
    """In virtual time: this testbed of processes cannot carry a scenario out itself, and lists only what can be run."""
    scenarios = api.typed("ScenarioList", "scenarios", "list_scenarios").scenarios
    assert "calm-day" in [scenario.name for scenario in scenarios]
    started = api.typed(
        "RunView", "scenarios", "start_run", status=202, body=api.models.StartRun(scenario="calm-day", seed=3)
    )
    assert (started.scenario, started.seed, started.runtime) == ("calm-day", 3, "virtual")
    busy = api.typed("Error", "scenarios", "start_run", status=409, body=api.models.StartRun(scenario="calm-day"))
    assert started.id in busy.error.message
    wait_until(lambda: _state(api) not in ("starting", "running", "judging"), "the run ends", RUN_TIMEOUT_S)
    ended = api.typed("RunView", "scenarios", "get_current_run")
    assert (ended.id, ended.state, ended.why) == (started.id, "done", "")
    verdict = api.typed("VerdictView", "runs", "get_verdict", started.id)
    assert (verdict.scenario, verdict.seed, verdict.status) == ("calm-day", 3, "as_expected")
    assert started.id in [run.id for run in api.typed("RunList", "runs", "list_runs").runs]
    compared = api.call("runs", "compare_runs", left=started.id, right=started.id)
    assert compared.parsed.same is True


@pytest.mark.parametrize("name", ["azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day"])
def test_every_listed_scenario_can_be_started_and_aborted(api: Api, bench: Bench, name: str) -> None:
    assert {scenario.name for scenario in api.typed("ScenarioList", "scenarios", "list_scenarios").scenarios} == {
        "azure-fnj8-vqz",
        "azure-fnj8-vqz-short",
        "calm-day",
    }
    mitigated = api.models.StartRun(scenario=name, mitigations=["R1"])
    started = api.typed("RunView", "scenarios", "start_run", status=202, body=mitigated)
    assert started.mitigations == ["R1"]
    aborted = api.typed("RunView", "scenarios", "abort_run")
    assert (aborted.id, aborted.state) == (started.id, "aborted")
    assert processes_of(started.id) == [], "the process of the run is gone"


def test_a_run_whose_process_is_killed_fails_with_the_signal_as_reason(api: Api) -> None:
    started = api.typed("RunView", "scenarios", "start_run", status=202, body=api.models.StartRun(scenario="calm-day"))
    wait_until(lambda: processes_of(started.id), "the process is there")
    for process in processes_of(started.id):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: _state(api) == "failed", "the end is noticed")
    assert "was killed by SIGKILL" in api.typed("RunView", "scenarios", "get_current_run").why


def processes_of(run: str) -> list[int]:
    """Processes below this one whose command names the run."""
    below = psutil.Process().children(recursive=True)
    return [process.pid for process in below if any(run in word for word in process.cmdline())]


def _state(api: Api) -> str:
    return str(api.typed("RunView", "scenarios", "get_current_run").state)
