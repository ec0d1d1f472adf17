"""The tenant table: complete against the report, consistent, and clear about what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadgen.journeys import JOURNEYS
from loadgen.journeys.provision import ProvisionParameters
from loadgen.journeys.runner_job import RunnerJobParameters
from loadgen.machines import MachineNeeds
from loadgen.settings import LoadgenSettings, OwnTenant
from loadgen.tenant_names import TENANTS_FILE, TenantError
from loadgen.tenants import default_table, load_tenants
from services.chassis.settings import SettingsError, resolve
from services.provisioner.settings import ProvisionerSettings

CONSUMERS = {f"S{number:02}" for number in range(1, 23)} | {"O10"}


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """Writes the real table after `change` was applied to it, and gives the path."""

    def build(change: Callable[[dict[str, Any]], Any]) -> Path:
        table = yaml.safe_load(TENANTS_FILE.read_text())
        change(table)
        path = tmp_path / "tenants.yaml"
        path.write_text(yaml.safe_dump(table))
        return path

    return build


def test_every_consumer_of_the_report_has_a_class() -> None:
    table = default_table()
    assert {tenant.id for tenant in table.tenants} == CONSUMERS
    assert len(table.tenants) >= 23


def test_every_journey_has_users() -> None:
    assert {tenant.journey.kind for tenant in default_table().tenants} == set(JOURNEYS) - {"own"}


def test_jobs_are_split_as_designed() -> None:
    by_id: dict[str, float] = {}
    for tenant in default_table().tenants:
        if tenant.load == "jobs":
            by_id[tenant.id] = by_id.get(tenant.id, 0.0) + tenant.share
    runners = sum(by_id.pop(f"S{number:02}") for number in range(5, 12))
    shares = {name: round(share, 6) for name, share in by_id.items()}
    assert round(runners, 6) == 0.24
    assert shares == {"S01": 0.12, "S02": 0.1, "S03": 0.2, "S04": 0.24, "S12": 0.035, "S13": 0.035, "O10": 0.03}
    assert default_table().get("github-actions").share == 0.075


def test_the_others_take_the_share_of_a_tenant_that_is_not_in_a_region() -> None:
    table = default_table()
    absent = table.get("codespaces")
    assert absent.not_in == ("westus",)
    others = [tenant for tenant in table.tenants if tenant.load == "jobs" and tenant != absent]
    assert sum(table.share_in("westus", tenant) for tenant in others) == pytest.approx(1.0)
    assert table.share_in("westus", table.get("azure-devops")) == pytest.approx(0.24 / 0.97)
    assert table.share_in("eastus", table.get("azure-devops")) == 0.24
    assert table.share_in("westus", table.get("databricks")) == 0.12  # the other kind of load
    own = OwnTenant(slug="mine", load="jobs", share=0.5, part="a:B")
    assert table.with_own([own]).share_in("westus", table.with_own([own]).get("mine")) == 0.5


def test_githubs_machines_need_the_accounts_that_came_back_when_they_did_and_no_identity() -> None:
    """The reasons are in docs/model.md §5; a run decides what follows from it (O08 to O10)."""
    table, packages = default_table(), ProvisionerSettings().packages
    pool, codespace = table.get("github-actions").journey, table.get("codespaces").journey
    assert isinstance(pool, RunnerJobParameters)
    assert isinstance(codespace, ProvisionParameters)
    needs: dict[str, MachineNeeds | ProvisionParameters] = {"codespace": codespace}
    needs |= {str(name): machine for name, machine in pool.machines.items()}
    assert {name: (packages[machine.extension].account, machine.identity) for name, machine in needs.items()} == {
        "standard": ("vmextarc", False),
        "larger": ("vmextmi", False),
        "codespace": ("vmextmi", False),
    }


def test_each_tenant_fails_with_its_own_error_text() -> None:
    by_words: dict[str, set[str]] = {}
    for tenant in default_table().tenants:
        by_words.setdefault(tenant.symptom, set()).add(tenant.id)
    assert all(len(ids) == 1 for ids in by_words.values())
    assert default_table().get("github-actions").symptom == "timed out waiting for a hosted runner"


def test_the_provisioner_knows_every_extension() -> None:
    packages = set(ProvisionerSettings().packages)
    journeys = [tenant.journey for tenant in default_table().tenants]
    wanted = {getattr(journey, name, None) for journey in journeys for name in ("extension", "extra_extension")}
    for journey in journeys:
        wanted |= {needs.extension for needs in getattr(journey, "machines", {}).values()}
    assert wanted - {None} == packages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table["tenants"][5].update(share=-0.1),
            "tenants.yaml: tenants.5 (github-actions).share: Input should be greater than or equal to 0 (got -0.1)",
        ),
        (
            lambda table: table["tenants"][5].update(share=0.2),
            "tenants.yaml: Value error, share: the shares of load 'jobs' add up to 1.125, not to 1",
        ),
        (
            lambda table: table["tenants"][5]["journey"].update(patience=3),
            "tenants.5 (github-actions).journey.runner_job.patience: unknown setting (got 3)",
        ),
        (lambda table: table["tenants"][5]["journey"].update(kind="walk"), "tenants.5 (github-actions).journey"),
        (
            lambda table: table["tenants"][5]["journey"]["machines"].pop("larger"),
            "tenants.5 (github-actions).journey.runner_job.machines: Value error, missing: larger",
        ),
        (lambda table: table["tenants"][5].update(slug="codeql"), "slug: used twice: codeql"),
        (lambda table: table["tenants"][5].update(id="S23"), "tenants.5 (github-actions).id: String should match"),
        (lambda table: table["tenants"][5].pop("symptom"), "tenants.5 (github-actions).symptom: Field required"),
        (
            lambda table: table["tenants"][0]["journey"]["operations"].update(scale_out=1),
            "operations.scale_out: not an operation of a vm",
        ),
        (
            lambda table: table["tenants"][2]["journey"].pop("extra_extension"),
            "extra_extension: required by operations.configure",
        ),
        (lambda table: table["tenants"][2]["journey"]["operations"].pop("create"), "operations.create: required"),
        (lambda table: table.pop("tenants"), "tenants: Field required"),
    ],
)
def test_a_broken_table_is_refused_by_tenant_and_field(
    broken: Callable[[Callable[[dict[str, Any]], Any]], Path], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with pytest.raises(TenantError) as refused:
        load_tenants(broken(change))
    assert message in str(refused.value)


def test_bad_yaml_is_refused_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tenants:\n  - slug: [a\n")
    with pytest.raises(TenantError, match=r"mine\.yaml: not YAML: .*line 3"):
        load_tenants(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TenantError, match=r"none\.yaml: cannot be read: No such file"):
        load_tenants(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"regions": {"eastus": {"token_rate_per_s": -1}}},
            "loadgen.regions.eastus.token_rate_per_s: Input should be greater than or equal to 0 (got -1)",
        ),
        ({"tenants": ["codeql", "code-ql"]}, "loadgen.tenants: Value error, unknown tenant 'code-ql'; known: virtual-"),
        ({"runner_wait": 5}, "loadgen.runner_wait: unknown setting (got 5)"),
        ({"in_flight_max": 0}, "loadgen.in_flight_max: Input should be greater than or equal to 1 (got 0)"),
    ],
)
def test_bad_settings_are_refused_by_field_and_rule(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        resolve(LoadgenSettings, {"loadgen": section}, "loadgen", "")
    assert message in str(refused.value)


def test_defaults_are_the_incidents() -> None:
    settings = LoadgenSettings()
    assert (settings.late_after_s, settings.in_flight_max) == (0.1, 500)
    assert (settings.first_poll_s, settings.poll_s) == (3.0, 15.0)
    assert (settings.patience_mean_s, settings.runner_wait_s) == (240.0, 60.0)
    assert (settings.sdk.attempts, settings.workflow.attempts) == (4, 3)
    assert settings.tenants is None


def test_tenants_are_selected_in_table_order() -> None:
    chosen = default_table().select(["codeql", "azure-devops"])
    assert [tenant.slug for tenant in chosen] == ["azure-devops", "codeql"]
