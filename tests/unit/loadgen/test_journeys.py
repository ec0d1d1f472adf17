"""What each kind of user asks for, how long they wait, and how they fail. Times are exact."""

import asyncio
from typing import Any, Literal

import pytest

from loadgen.journeys.extension import ExtensionJourney
from loadgen.journeys.identity_crud import IdentityCrudJourney, IdentityCrudParameters
from loadgen.journeys.pipeline import PipelineJourney
from loadgen.journeys.provision import ProvisionJourney, ProvisionOperation, ProvisionParameters
from loadgen.journeys.runner_job import RunnerJobJourney
from loadgen.journeys.token import TokenJourney, TokenParameters
from loadgen.runner_pool import RunnerPool
from loadgen.site import JourneyOutcome, Site
from loadgen.tenants import default_table
from tests.unit.loadgen.loadgen_cloud import Cloud, Fixed, only

AGENT = "Microsoft.VisualStudio.Services/TeamServicesAgentLinux"
DEPENDENTS = (
    "copilot-coding-agent",
    "copilot-code-review",
    "codeql",
    "dependabot",
    "enterprise-importer",
    "github-pages",
)


def parameters(slug: str) -> Any:
    return default_table().get(slug).journey


async def finish(journey: Any, planned: float) -> JourneyOutcome:
    started = journey.start(planned)
    assert started is not None
    outcome: JourneyOutcome = await started
    return outcome


# Provisioning


def provision(
    cloud: Cloud, operation: ProvisionOperation, machine: Literal["vm", "vmss"] = "vm", **settings: Any
) -> ProvisionJourney:
    """A customer who always does `operation`."""
    extra = "Microsoft.Azure.ActiveDirectory/AADSSHLoginForLinux"
    values = ProvisionParameters(
        kind="provision",
        machine=machine,
        extension="Microsoft.Azure.Extensions/CustomScript",
        extra_extension=extra,
        operations={operation: 1.0, "create": 1.0},
    )
    return ProvisionJourney(cloud.site(**settings), values)


async def test_a_machine_is_asked_for_with_its_tenant_and_its_extension(cloud: Cloud) -> None:
    start = cloud.now
    outcome = await finish(provision(cloud, "create"), start)
    assert (outcome, cloud.now - start) == (JourneyOutcome("success", "create"), 3.0)
    (put,) = cloud.provisioner.made("PUT")
    assert put.path.endswith(
        "/resourceGroups/virtual-machines-eastus/providers/Microsoft.Compute/virtualMachines/vm-run-1"
    )
    assert put.body["location"] == "eastus"
    assert put.body["tags"] == {
        "aftershock-tenant": "virtual-machines",
        "aftershock-extension": "Microsoft.Azure.Extensions/CustomScript",
    }
    assert put.body["identity"] == {"type": "SystemAssigned"}


async def test_a_user_who_runs_out_of_patience_deletes_and_abandons(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    start = cloud.now
    outcome = await finish(provision(cloud, "create", patience_s=100.0), start)
    assert (outcome, cloud.now - start) == (JourneyOutcome("abandoned", "create", "PatienceExhausted"), 100.0)
    (put,), (delete,) = cloud.provisioner.made("PUT"), cloud.provisioner.made("DELETE")
    assert (delete.path, delete.at - start) == (put.path, 100.0)
    assert [poll.at - start for poll in cloud.provisioner.polls] == [3.0, 18.0, 33.0, 48.0, 63.0, 78.0, 93.0]


async def test_patience_runs_from_the_intended_start(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    start = cloud.now
    await finish(provision(cloud, "create", patience_s=100.0), start - 40.0)
    assert cloud.now - start == 60.0


async def test_no_user_gives_up_before_the_second_poll(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    start = cloud.now
    assert (await finish(provision(cloud, "create", patience_s=1.0), start)).result == "abandoned"
    assert cloud.now - start == 20.0
    assert len(cloud.provisioner.polls) == 2


async def test_an_abandoned_journey_is_counted_as_such(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    load = cloud.load(
        table=only("windows-virtual-machines", share=1.0), jobs=1.0, patience_mean_s=5.0, patience_min_s=0.0
    )
    await load.start()
    await asyncio.sleep(60.0)
    await load.stop()
    abandoned = cloud.operations(result="abandoned", code="PatienceExhausted")
    assert len(abandoned) > 20
    assert load.tools.env.metrics.total("loadgen_operations_total", result="abandoned") == len(abandoned)
    deleted = [round(call.at, 4) for call in cloud.provisioner.made("DELETE")]
    zero = load._zero
    assert deleted == sorted(round(zero + event["intended_t"] + event["duration_s"], 4) for event in abandoned)


@pytest.mark.parametrize(
    ("operation", "machine", "method", "path", "body"),
    [
        ("restart", "vm", "POST", "/vm-run-1/restart", None),
        ("reimage", "vm", "POST", "/vm-run-1/reimage", None),
        ("resize", "vm", "PATCH", "/vm-run-1", {"properties": {"hardwareProfile": {"vmSize": "Standard_D4s_v5"}}}),
        ("scale_out", "vmss", "PATCH", "/vmss-run-1", {"sku": {"capacity": 2}}),
        ("delete", "vm", "DELETE", "/vm-run-1", None),
    ],
)
async def test_a_lifecycle_operation_takes_a_machine_that_is_ready(
    cloud: Cloud, operation: ProvisionOperation, machine: Literal["vm", "vmss"], method: str, path: str, body: Any
) -> None:
    journey = provision(cloud, operation, machine)
    first = await finish(journey, cloud.now)
    assert first.operation == "create"  # nothing was there yet
    second = await finish(journey, cloud.now)
    assert second == JourneyOutcome("success", operation)
    call = cloud.provisioner.calls[-1]
    assert (call.method, call.body) == (method, body)
    assert call.path.endswith(path)
    third = await finish(journey, cloud.now)
    assert third.operation == ("create" if operation == "delete" else operation)


async def test_a_scale_set_grows_by_one_each_time(cloud: Cloud) -> None:
    journey = provision(cloud, "scale_out", "vmss")
    for _ in range(4):
        await finish(journey, cloud.now)
    assert [call.body["sku"]["capacity"] for call in cloud.provisioner.calls] == [1, 2, 3, 4]


async def test_a_configuration_change_adds_an_extension_once_to_each_scale_set(cloud: Cloud) -> None:
    journey = provision(cloud, "configure", "vmss")
    done = [(await finish(journey, cloud.now)).operation for _ in range(4)]
    assert done == ["create", "configure", "create", "configure"]
    (patch, _) = cloud.provisioner.made("PATCH")
    profile = patch.body["properties"]["virtualMachineProfile"]["extensionProfile"]["extensions"]
    assert [(item["name"], item["properties"]["publisher"]) for item in profile] == [
        ("AADSSHLoginForLinux", "Microsoft.Azure.ActiveDirectory")
    ]


async def test_an_extension_is_installed_on_a_node_and_taken_back_alone(cloud: Cloud) -> None:
    journey = provision(cloud, "install_extension", patience_s=50.0)
    await finish(journey, cloud.now)
    cloud.provisioner.blocked = True
    outcome = await finish(journey, cloud.now)
    assert outcome == JourneyOutcome("abandoned", "install_extension", "PatienceExhausted")
    put, delete = cloud.provisioner.calls[-2:]
    assert put.path.endswith("/virtualMachines/vm-run-1/extensions/AADSSHLoginForLinux-run-2")
    assert (delete.method, delete.path) == ("DELETE", put.path)


async def test_two_operations_never_meet_on_one_machine(cloud: Cloud) -> None:
    journey = provision(cloud, "reimage")
    await finish(journey, cloud.now)
    both = [journey.start(cloud.now), journey.start(cloud.now)]
    outcomes = await asyncio.gather(*[each for each in both if each])
    assert [outcome.operation for outcome in outcomes] == ["reimage", "create"]


async def test_a_customer_keeps_no_more_machines_than_the_setting_says(cloud: Cloud) -> None:
    journey = provision(cloud, "create", machines_max=2)
    for _ in range(4):
        await finish(journey, cloud.now)
    assert repr(journey._machines) == "<Machines vm of virtual-machines in eastus, 2 ready>"


# Pipelines


async def test_a_pipeline_runs_on_an_agent_that_is_deleted_afterwards(cloud: Cloud) -> None:
    start = cloud.now
    outcome = await finish(PipelineJourney(cloud.site("azure-devops"), parameters("azure-devops")), start)
    assert (outcome, cloud.now - start) == (JourneyOutcome("success", "run_pipeline"), 8.0)
    put, delete = cloud.provisioner.calls
    assert put.body["tags"]["aftershock-extension"] == AGENT
    assert (delete.method, delete.path, delete.at - start) == ("DELETE", put.path, 8.0)


async def test_a_pipeline_without_an_agent_fails_after_60_s_and_the_agent_still_comes(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    start = cloud.now
    outcome = await finish(PipelineJourney(cloud.site("azure-devops"), parameters("azure-devops")), start)
    assert (outcome, cloud.now - start) == (JourneyOutcome("failed", "run_pipeline", "AgentWaitTimeout"), 60.0)
    assert cloud.provisioner.made("DELETE") == []
    cloud.provisioner.blocked = False
    await asyncio.sleep(3.5)  # looked at again at 63 s
    assert [call.at - start for call in cloud.provisioner.made("DELETE")] == [63.0]


async def test_a_pipeline_whose_agent_fails_fails_with_it(cloud: Cloud) -> None:
    cloud.provisioner.error = "VMExtensionProvisioningError"
    outcome = await finish(PipelineJourney(cloud.site("azure-devops"), parameters("azure-devops")), cloud.now)
    assert outcome == JourneyOutcome("failed", "run_pipeline", "VMExtensionProvisioningError")


# Hosted runners


def pool_of(cloud: Cloud, **settings: Any) -> tuple[Site, RunnerPool]:
    site = cloud.site("github-actions", **settings)
    pool = RunnerPool(site, parameters("github-actions").machines)
    site.tools.pools["eastus"] = pool
    return site, pool


async def test_a_job_times_out_after_exactly_60_s_and_its_runner_still_comes(cloud: Cloud) -> None:
    site, pool = pool_of(cloud, warm_runners=1, patience_s=200.0)
    cloud.provisioner.blocked = True
    start = cloud.now
    outcome = await finish(RunnerJobJourney(site, parameters("github-actions")), start)
    assert outcome == JourneyOutcome("failed", "run_job", "RunnerWaitTimeout", {"runner": "standard"})
    assert cloud.now - start == 60.0
    assert repr(pool) == "<RunnerPool eastus: 0 idle, 1 ordered, 0 wanted>"
    cloud.provisioner.blocked = False
    await asyncio.sleep(3.5)
    assert repr(pool) == "<RunnerPool eastus: 1 idle, 0 ordered, 0 wanted>"  # it is warm now
    assert site.tools.env.metrics.total("loadgen_runner_orders_total", result="succeeded") == 1


async def test_every_job_of_the_tenant_times_out_after_60_s_with_its_own_error_text(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    load = cloud.load(table=only("github-actions", share=1.0), jobs=1.0)
    await load.start()
    await asyncio.sleep(100.0)
    await load.stop()
    failed = cloud.operations(tenant="github-actions")
    assert len(failed) > 20
    assert {(event["result"], event["duration_s"], event["code"], event["message"]) for event in failed} == {
        ("failed", 60.0, "RunnerWaitTimeout", "timed out waiting for a hosted runner")
    }
    assert {event["runner"] for event in failed} == {"standard", "larger"}
    assert len(cloud.provisioner.made("PUT")) == len(load.arrivals)


@pytest.mark.parametrize(
    ("runner_type", "extension"),
    [("standard", "GitHub.Actions/HostedRunner"), ("larger", "GitHub.Actions/LargerRunner")],
)
async def test_a_runner_is_asked_for_with_the_extension_of_its_type_and_no_identity(
    cloud: Cloud, runner_type: str, extension: str
) -> None:
    _, pool = pool_of(cloud, warm_runners=0)
    pool.order(runner_type)
    await asyncio.sleep(3.5)
    (put,) = cloud.provisioner.made("PUT")
    assert put.body["tags"]["aftershock-extension"] == extension
    assert put.body["identity"] == {"type": "None"}


async def test_a_codespace_is_asked_for_without_an_identity(cloud: Cloud) -> None:
    await finish(ProvisionJourney(cloud.site("codespaces"), parameters("codespaces")), cloud.now)
    (put,) = cloud.provisioner.made("PUT")
    assert put.body["tags"]["aftershock-extension"] == "GitHub.Codespaces/Codespace"
    assert put.body["identity"] == {"type": "None"}


async def test_a_surplus_runner_is_deleted_when_enough_are_warm(cloud: Cloud) -> None:
    _, pool = pool_of(cloud, warm_runners=0)
    pool.order("standard")
    await asyncio.sleep(3.5)
    assert [call.method for call in cloud.provisioner.calls] == ["PUT", "DELETE"]
    assert repr(pool) == "<RunnerPool eastus: 0 idle, 0 ordered, 0 wanted>"


async def test_the_pool_gives_up_its_order_when_its_patience_ends(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    site, pool = pool_of(cloud, patience_s=90.0)
    start = cloud.now
    pool.order("standard")
    await asyncio.sleep(100.0)
    assert [(call.method, call.at - start) for call in cloud.provisioner.calls] == [("PUT", 0.0), ("DELETE", 90.0)]
    assert site.tools.env.metrics.total("loadgen_runner_orders_total", result="waiting") == 1


async def test_a_warm_runner_serves_at_once_and_is_replaced(cloud: Cloud) -> None:
    site, pool = pool_of(cloud, warm_runners=1)
    for step in pool.setup()[:1]:
        await step()
    start = cloud.now
    outcome = await finish(RunnerJobJourney(site, parameters("github-actions")), start)
    assert (outcome.result, cloud.now - start) == ("success", 5.0)
    await asyncio.sleep(0.5)
    assert repr(pool) == "<RunnerPool eastus: 1 idle, 0 ordered, 0 wanted>"
    assert [call.method for call in cloud.provisioner.calls] == ["PUT", "PUT", "DELETE"]


async def test_runners_go_to_jobs_in_the_order_in_which_they_asked(cloud: Cloud) -> None:
    _, pool = pool_of(cloud)
    served: list[str] = []

    async def want(name: str, wait_s: float) -> None:
        runner = await pool.acquire("standard", cloud.now + wait_s)
        served.append(f"{name} {'served' if runner else 'left'} at {cloud.now - start:g}")

    start = cloud.now
    jobs = [asyncio.create_task(want(name, wait_s)) for name, wait_s in (("a", 9), ("b", 2), ("c", 9))]
    await asyncio.sleep(0.0)
    assert dict(pool.counts())["eastus", "standard", "wanted"] == 3
    pool.order("standard")
    pool.order("larger")  # of no use to them
    await asyncio.gather(*jobs)
    assert served == ["b left at 2", "a served at 3", "c left at 9"]


async def test_dependents_call_only_the_pool(cloud: Cloud) -> None:
    load = cloud.load(jobs=4.0, tenants=list(DEPENDENTS), runner_wait_s=60.0)
    await load.start()
    await asyncio.sleep(120.0)
    await load.stop()
    assert {row.tenant for row in load.arrivals} == set(DEPENDENTS)
    assert {event["result"] for event in cloud.operations()} == {"success"}
    # Every machine belongs to the pool's owner, one per job.
    assert {call.body["tags"]["aftershock-tenant"] for call in cloud.provisioner.made("PUT")} == {"github-actions"}
    assert len(cloud.provisioner.made("PUT")) == len(load.arrivals)
    assert all("/resourceGroups/github-actions-eastus/" in call.path for call in cloud.provisioner.calls)
    assert cloud.blob_calls == []
    assert cloud.router.calls == []
    for slug in DEPENDENTS:
        assert load.tools.env.metrics.total("loadgen_attempts_total", tenant=slug) == 0


async def test_dependents_fail_only_because_no_runner_comes(cloud: Cloud) -> None:
    cloud.provisioner.blocked = True
    load = cloud.load(jobs=4.0, tenants=list(DEPENDENTS))
    await load.start()
    await asyncio.sleep(200.0)
    await load.stop()
    failed = cloud.operations(result="failed")
    assert failed == cloud.operations()
    waits = {(event["tenant"], event["code"], event["duration_s"], event["message"]) for event in failed}
    assert {(tenant, code, wait_s) for tenant, code, wait_s, _ in waits} == {
        (slug, "NoRunnerAvailable", float(parameters(slug).wait_s or 60.0)) for slug in DEPENDENTS
    }
    assert len({message for _, _, _, message in waits}) == len(DEPENDENTS)


# Extensions on servers that exist


async def test_an_agent_is_installed_on_a_server_that_exists(cloud: Cloud) -> None:
    journey = ExtensionJourney(cloud.site("arc-servers", ready_machines=1), parameters("arc-servers"))
    for step in journey.setup():
        await step()
    (server,) = cloud.provisioner.calls
    assert "identity" not in server.body
    assert server.body["tags"] == {"aftershock-tenant": "arc-servers"}
    start = cloud.now
    outcome = await finish(journey, start)
    assert (outcome, cloud.now - start) == (JourneyOutcome("success", "install_extension"), 3.0)
    install = cloud.provisioner.calls[1]
    assert install.path == f"{server.path}/extensions/ConnectedMachine-run-2"
    assert install.body["properties"] == {
        "publisher": "Microsoft.Azure.AzureArc",
        "type": "ConnectedMachine",
        "typeHandlerVersion": "1.0",
    }
    await asyncio.sleep(3.5)
    assert len(journey._servers.ready) == 1  # the next one


async def test_a_server_whose_installation_was_given_up_is_used_again(cloud: Cloud) -> None:
    journey = ExtensionJourney(cloud.site("arc-servers", patience_s=50.0), parameters("arc-servers"))
    await journey._add_server()
    cloud.provisioner.blocked = True
    start = cloud.now
    outcome = await finish(journey, start)
    assert (outcome.result, cloud.now - start) == ("abandoned", 50.0)
    server, install, delete = cloud.provisioner.calls
    assert delete.path == install.path
    assert [machine.path for machine in journey._servers.ready] == [server.path]


async def test_without_a_server_one_comes_first(cloud: Cloud) -> None:
    journey = ExtensionJourney(cloud.site("postgresql"), parameters("postgresql"))
    start = cloud.now
    assert (await finish(journey, start)).result == "success"
    assert cloud.now - start == 6.0
    cloud.provisioner.refuse = (409, "Conflict")
    assert await finish(journey, start) == JourneyOutcome("failed", "install_extension", "Conflict")


# Tokens and identities


def tokens(cloud: Cloud, draw: float, **shares: float) -> tuple[Site, TokenJourney]:
    """A token consumer whose every draw is `draw`."""
    site = cloud.site("databricks")
    site.rng.random = lambda: draw  # type: ignore[method-assign]
    values = TokenParameters(kind="token", resource="https://storage.azure.com/", **shares)
    return site, TokenJourney(site, values)


async def test_cached_tokens_survive_an_outage_and_new_ones_fail(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    site, journey = tokens(cloud, 0.0, cached_share=0.5, new_identity_share=0.25)
    start = cloud.now
    assert await finish(journey, start) == JourneyOutcome("success", "token")  # nothing cached yet: it asks
    assert len(cloud.router.calls) == 1
    cloud.router.down = True
    for _ in range(3):
        assert journey.start(cloud.now) is None
    assert len(cloud.router.calls) == 1
    assert site.tools.env.metrics.total("loadgen_cached_token_uses_total", tenant="databricks") == 3
    for draw, operation, step in ((0.6, "token_new_identity", "identity_create"), (0.8, "token", "token")):
        monkeypatch.setattr(site.rng, "random", lambda draw=draw: draw)
        began = cloud.now
        outcome = await finish(journey, began)
        detail = {"step": step, "attempts": 12, "status": 503}
        assert outcome == JourneyOutcome("failed", operation, "shed", detail)
        assert cloud.now - began == 7.25


async def test_a_token_is_not_used_in_its_last_seconds(cloud: Cloud) -> None:
    _, journey = tokens(cloud, 0.0, cached_share=0.5)
    await finish(journey, cloud.now)
    await asyncio.sleep(86_400.0 - 6.0)
    assert journey.start(cloud.now) is None
    await asyncio.sleep(2.0)  # within 5 s of its end
    assert (await finish(journey, cloud.now)).result == "success"
    assert len(cloud.router.calls) == 2


async def test_a_new_resource_creates_its_identity_and_uses_it(cloud: Cloud) -> None:
    _, journey = tokens(cloud, 0.2, cached_share=0.1, new_identity_share=0.5)
    assert await finish(journey, cloud.now) == JourneyOutcome("success", "token_new_identity")
    put, get = cloud.router.calls
    assert put.method == "PUT"
    assert put.path.endswith("/userAssignedIdentities/app-run-1")
    assert "client_id=client-of-app-run-1" in get.path


def test_shares_correct_the_rate_for_what_an_arrival_makes() -> None:
    values = TokenParameters(kind="token", resource="https://x.net", cached_share=0.2, new_identity_share=0.1)
    assert values.load_per_arrival == pytest.approx(0.9)
    assert parameters("github-actions").load_per_arrival == 1.0


async def test_cached_token_uses_are_not_operations(cloud: Cloud) -> None:
    load = cloud.load(table=only("stream-analytics", share=1.0), tokens=2.0)
    await load.start()
    await asyncio.sleep(60.0)
    await load.stop()
    registry = load.tools.env.metrics
    cached = registry.total("loadgen_cached_token_uses_total", tenant="stream-analytics", region="eastus")
    started = registry.total("loadgen_operations_started_total")
    assert cached > 20
    assert started == len(load.arrivals) - cached == len(cloud.operations())


async def test_identities_are_created_updated_and_deleted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    site = cloud.site("managed-identities")
    journey = IdentityCrudJourney(site, IdentityCrudParameters(kind="identity_crud"))
    wanted = ["identity_delete", "identity_update", "identity_delete", "identity_delete"]
    done = []
    for operation in wanted:
        monkeypatch.setattr(site.rng, "choices", lambda *_args, operation=operation: [operation])
        done.append((await finish(journey, cloud.now)).operation)
    # The first and the last find nothing and create.
    assert done == ["identity_create", "identity_update", "identity_delete", "identity_create"]
    calls = [(call.method, call.path.rsplit("/", 1)[1]) for call in cloud.router.calls]
    assert calls == [
        ("PUT", "identity-run-1"),
        ("PUT", "identity-run-1"),
        ("DELETE", "identity-run-1"),
        ("PUT", "identity-run-2"),
    ]


@pytest.mark.parametrize("operation", ["identity_create", "identity_update", "identity_delete"])
async def test_each_identity_operation_fails_in_an_outage(cloud: Cloud, operation: str) -> None:
    site = cloud.site("managed-identities")
    journey = IdentityCrudJourney(site, IdentityCrudParameters(kind="identity_crud"))
    site.rng.choices = lambda *_args: ["identity_create"]  # type: ignore[method-assign]
    await finish(journey, cloud.now)
    cloud.router.down = True
    site.rng.choices = lambda *_args: [operation]  # type: ignore[method-assign]
    outcome = await finish(journey, cloud.now)
    assert outcome == JourneyOutcome("failed", operation, "shed", {"attempts": 12, "status": 503})
    assert len(journey._identities) == 1  # what exists is not forgotten


def test_fixed_streams_are_what_these_tests_rely_on() -> None:
    assert Fixed(7.0).expovariate(0.1) == 7.0
