"""The policy job over HTTP in virtual time: waves, beat, cancellation, gates; every time is exact."""

import asyncio

import pytest

from chaos.remediation.settings import GateVariant
from chaos.remediation.workflow import RolloutRegion, wave_order
from services.chassis.settings import SettingsError
from tests.unit.remediation.storage_provider import REGIONS, Bench, Truthful, flipped

LOST = {"defect": "missing_exemptions", "validate_targets": False}
NAIVE_GATE = {"variant": "no_data_is_healthy", "settle_s": 14, "bake_s": 60}
DEFECTIVE = {"inventory": LOST, "gate": NAIVE_GATE, "period_s": 60}
REPAIRED_GATE = {"variant": "repaired", "settle_s": 14, "bake_s": 60}
WRONG = ("vmextarc", "vmextlinux", "vmextmi")
PLATFORM = ("msdiag", "mslogs")


def accounts(region: str) -> list[str]:
    return sorted(f"{family}{region}" for family in (*PLATFORM, *WRONG))


def all_accounts(families: tuple[str, ...]) -> list[str]:
    return sorted(f"{family}{region.name}" for region in REGIONS for family in families)


def test_waves_go_canary_first_then_in_the_order_given_then_as_listed() -> None:
    four = (*REGIONS, RolloutRegion("northeurope", "North Europe"))

    assert [r.name for r in wave_order(four, ())] == ["centraluseuap", "westus", "eastus", "northeurope"]
    assert [r.name for r in wave_order(four, ("northeurope", "eastus"))] == [
        "centraluseuap",
        "northeurope",
        "eastus",
        "westus",
    ]


def test_an_order_that_names_an_unknown_region_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"remediation\.order: unknown region 'mars'; known: westus, "):
        wave_order(REGIONS, ("mars",))


async def test_the_defective_job_takes_region_after_region_at_exact_times(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(50)

    waves = [(wave["t"], wave["region"], wave["targets"]) for wave in bench.of("remediation_wave_started")]
    assert waves == [
        (0.0, "centraluseuap", accounts("centraluseuap")),
        (14.0, "westus", accounts("westus")),
        (28.0, "eastus", accounts("eastus")),
    ]
    assert bench.provider.private() == all_accounts((*PLATFORM, *WRONG))
    assert [(e["t"], e["result"], e["reason"]) for e in bench.of("remediation_finished")] == [(42.0, "complete", "")]
    await job.close()


async def test_every_change_carries_the_id_of_its_run(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(1)
    (started,) = bench.of("remediation_started")

    assert {actor for *_, actor in bench.provider.flips} == {started["run"]}
    assert (started["period"], started["defect"]) == (0, "missing_exemptions")
    await job.close()


async def test_the_snapshot_says_how_old_it_is_and_what_it_lacks(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(1)

    (snapshot,) = bench.of("remediation_snapshot")
    assert (snapshot["records"], snapshot["exemptions_missing"], snapshot["age_s"]) == (9, 9, 120.0)
    assert bench.counts("remediation_inventory_age_seconds") == {(): 120.0}
    await job.close()


async def test_accounts_and_decisions_are_counted_once_each(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(20)

    assert bench.counts("remediation_accounts_total") == {
        (region, result): count
        for region in ("centraluseuap", "westus")
        for result, count in (("changed", 2.0), ("wrongly_targeted", 3.0), ("skipped_exempt", 1.0))
    }
    assert bench.counts("remediation_gate_decisions_total") == {("proceed", "no_data"): 1.0}
    await job.close()


async def test_counters_exist_at_zero_before_the_first_account(bench: Bench) -> None:
    bench.workflow(**DEFECTIVE)

    rows = [labels for name, labels, _ in bench.env.metrics.samples() if name == "remediation_accounts_total"]
    assert len(rows) == 3 * 3


async def test_with_a_fresh_inventory_no_exempt_account_is_touched(bench: Bench) -> None:
    job = bench.workflow(Truthful(bench.provider), gate=REPAIRED_GATE)
    job.start()
    await asyncio.sleep(200)

    assert bench.provider.private() == all_accounts(PLATFORM)
    assert [(w["t"], w["region"]) for w in bench.of("remediation_wave_started")][:3] == [
        (0.0, "centraluseuap"),
        (60.0, "westus"),
        (120.0, "eastus"),
    ]
    assert [(e["t"], e["result"]) for e in bench.of("remediation_finished")][:1] == [(180.0, "complete")]
    await job.close()


async def test_validation_refuses_the_defective_snapshot_and_touches_nothing(bench: Bench) -> None:
    job = bench.workflow(inventory={"defect": "missing_exemptions", "validate_targets": True}, period_s=60)
    job.start()
    await asyncio.sleep(100)

    assert bench.provider.flips == []
    finished = bench.of("remediation_finished")
    assert [(e["t"], e["result"]) for e in finished] == [(0.0, "stopped"), (60.0, "stopped")]
    assert finished[0]["reason"] == "refused: no record for 9 of 18 accounts, e.g. vmextarccentraluseuap"
    assert job.status()["provisioningState"] == "Failed"
    await job.close()


async def test_validation_refuses_when_a_region_cannot_be_listed(bench: Bench) -> None:
    bench.provider.deaf.add("westus")
    job = bench.workflow(Truthful(bench.provider))
    job.start()
    await asyncio.sleep(1)

    assert bench.provider.flips == []
    (finished,) = bench.of("remediation_finished")
    assert finished["reason"] == "refused: the accounts of westus could not be listed"
    await job.close()


async def test_the_repaired_gate_stops_after_the_first_region_and_for_good(bench: Bench) -> None:
    job = bench.workflow(Truthful(bench.provider), inventory=LOST, gate=REPAIRED_GATE, period_s=60)
    job.start()
    await asyncio.sleep(500)

    assert bench.provider.private() == accounts("centraluseuap")
    (decision,) = bench.of("gate_decision")
    assert (decision["t"], decision["region"], decision["decision"]) == (14.0, "centraluseuap", "stop")
    assert (decision["reason"], decision["variant"]) == ("unhealthy", "repaired")
    assert decision["observed"] == {"failure_ratio": 1.0, "samples": 140}
    assert [(e["t"], e["result"], e["reason"]) for e in bench.of("remediation_finished")] == [
        (14.0, "stopped", "unhealthy")
    ]
    assert len(bench.of("remediation_started")) == 1
    assert job.status()["provisioningState"] == "Failed"


@pytest.mark.parametrize("variant", ["no_data_is_healthy", "own_success"])
async def test_defective_gates_go_on_through_failing_regions(bench: Bench, variant: GateVariant) -> None:
    gate = {**NAIVE_GATE, "variant": variant}
    job = bench.workflow(Truthful(bench.provider), inventory=LOST, gate=gate)
    job.start()
    await asyncio.sleep(50)

    assert bench.provider.private() == all_accounts((*PLATFORM, *WRONG))
    assert [(d["t"], d["decision"]) for d in bench.of("gate_decision")] == [
        (14.0, "proceed"),
        (28.0, "proceed"),
        (42.0, "proceed"),
    ]
    await job.close()


class HistoryOf(Truthful):
    """Remembers that everything was well before second 0, and when each region was switched off."""

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        offs = [t for t, name, public, _ in self._provider.flips if name == f"vmextmi{region}" and not public]
        since = min(offs, default=float("inf"))
        bad = max(0.0, end_t - max(start_t, since))
        return bad / (end_t - start_t), int((end_t - start_t) * 10)


async def test_the_gate_on_stale_data_goes_on_too(bench: Bench) -> None:
    gate = {"variant": "stale_data", "settle_s": 14, "lag_s": 30, "stale_window_s": 12}
    job = bench.workflow(HistoryOf(bench.provider), inventory=LOST, gate=gate)
    job.start()
    await asyncio.sleep(50)

    assert bench.provider.private() == all_accounts((*PLATFORM, *WRONG))
    await job.close()


async def test_a_gate_without_data_holds_and_says_so_once(bench: Bench) -> None:
    job = bench.workflow(inventory=LOST, gate=REPAIRED_GATE)
    job.start()
    await asyncio.sleep(1000)

    assert bench.provider.private() == accounts("centraluseuap")
    assert [(d["t"], d["decision"], d["reason"]) for d in bench.of("gate_decision")] == [(14.0, "hold", "no_data")]
    assert bench.counts("remediation_gate_decisions_total") == {("hold", "no_data"): 986.0}
    assert bench.of("remediation_finished") == []
    await job.close()


async def test_the_job_runs_again_on_its_beat_and_skips_the_beats_it_overran(bench: Bench) -> None:
    job = bench.workflow(inventory=LOST, gate=NAIVE_GATE, period_s=30)
    job.start()
    await asyncio.sleep(100)

    # The first run takes 42 s, so the beat at 30 passes; later runs find nothing to change and need no gate.
    assert [(e["t"], e["period"]) for e in bench.of("remediation_started")] == [(0.0, 0), (60.0, 2), (90.0, 3)]
    assert len({e["run"] for e in bench.of("remediation_started")}) == 3
    assert [e["t"] for e in bench.of("remediation_finished")] == [42.0, 60.0, 90.0]
    await job.close()


async def test_without_cancel_a_restored_account_is_switched_off_again_on_the_next_beat(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(70)
    bench.provider.switch("vmextmieastus", True)
    seen = len(bench.provider.flips)
    await asyncio.sleep(100)

    third = bench.of("remediation_started")[2]
    assert flipped(bench.provider)[seen:] == [(120.0, "vmextmieastus", False)]
    assert (third["t"], bench.provider.flips[-1][3]) == (120.0, third["run"])
    await job.close()


async def test_after_cancel_no_account_is_switched_any_more(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(70)
    await job.cancel()
    bench.provider.switch("vmextmieastus", True)
    seen = len(bench.provider.flips)
    await asyncio.sleep(1000)

    assert len(bench.provider.flips) == seen
    assert [e["t"] for e in bench.of("remediation_canceled")] == [70.0]
    assert bench.of("remediation_canceled")[0]["run"] == bench.of("remediation_started")[-1]["run"]
    assert job.status()["provisioningState"] == "Canceled"


async def test_cancel_between_two_waves_ends_the_run_at_once(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(20)
    await job.cancel()

    assert bench.now() == 20.0
    assert [w["region"] for w in bench.of("remediation_wave_started")] == ["centraluseuap", "westus"]
    assert [(e["t"], e["result"]) for e in bench.of("remediation_finished")] == [(20.0, "canceled")]
    await asyncio.sleep(100)
    assert bench.provider.private() == sorted([*accounts("centraluseuap"), *accounts("westus")])


async def test_cancel_during_a_wave_finishes_open_requests_and_starts_no_further_change(bench: Bench) -> None:
    bench.provider.patch_s = 2.0
    job = bench.workflow(parallel=2, **DEFECTIVE)
    job.start()
    await asyncio.sleep(3.0)  # two changes done at 2.0, two more under way until 4.0
    state = asyncio.create_task(_state_while_cancelling(job))
    await job.cancel()

    assert bench.now() == 4.0
    assert await state == "Cancelling"
    assert [t for t, *_ in bench.provider.flips] == [2.0, 2.0, 4.0, 4.0]
    await asyncio.sleep(100)
    assert len(bench.provider.flips) == 4
    assert job.status()["deploymentStatus"] == {
        "totalDeployments": 4,
        "successfulDeployments": 4,
        "failedDeployments": 0,
    }


async def _state_while_cancelling(job: object) -> str:
    await asyncio.sleep(0.5)
    return str(job.status()["provisioningState"])  # type: ignore[attr-defined]


async def test_cancelling_twice_is_recorded_once(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(5)
    await asyncio.gather(job.cancel(), job.cancel())
    await job.cancel()

    assert len(bench.of("remediation_canceled")) == 1


async def test_a_job_that_never_started_has_nothing_to_cancel(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    await job.cancel()
    await job.close()

    assert bench.lines == []
    assert job.status()["provisioningState"] == "Accepted"


async def test_a_job_cannot_be_started_twice_but_afresh_after_its_end(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    with pytest.raises(RuntimeError, match="is running"):
        job.start()
    await asyncio.sleep(5)
    await job.cancel()
    job.start()
    await asyncio.sleep(5)

    assert [(e["t"], e["period"]) for e in bench.of("remediation_started")] == [(0.0, 0), (5.0, 0)]
    await job.close()


async def test_the_number_of_concurrent_changes_is_bounded(bench: Bench) -> None:
    bench.provider.patch_s = 1.0
    job = bench.workflow(parallel=3, **DEFECTIVE)
    job.start()
    await asyncio.sleep(14)

    assert bench.provider.busy_max == 3
    assert [t for t, *_ in bench.provider.flips] == [1.0, 1.0, 1.0, 2.0, 2.0]
    await job.close()


async def test_one_run_changes_no_more_than_its_resource_count(bench: Bench) -> None:
    job = bench.workflow(resource_count=7, **DEFECTIVE)
    job.start()
    await asyncio.sleep(59)

    assert len(bench.provider.flips) == 7
    await job.close()


async def test_failed_changes_are_counted_and_tried_again_on_the_next_beat(bench: Bench) -> None:
    bench.provider.refuse.add("mslogswestus")
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(50)

    assert job.status()["deploymentStatus"] == {
        "totalDeployments": 15,
        "successfulDeployments": 14,
        "failedDeployments": 1,
    }
    bench.provider.refuse.clear()
    await asyncio.sleep(20)
    assert flipped(bench.provider)[-1] == (60.0, "mslogswestus", False)
    await job.close()


async def test_a_gate_on_its_own_success_stops_when_changes_fail(bench: Bench) -> None:
    bench.provider.refuse |= {"mslogscentraluseuap", "msdiagcentraluseuap", "vmextmicentraluseuap"}
    gate = {"variant": "own_success", "settle_s": 14, "failure_threshold_ratio": 0.5}
    job = bench.workflow(inventory=LOST, gate=gate)
    job.start()
    await asyncio.sleep(100)

    (decision,) = bench.of("gate_decision")
    assert (decision["decision"], decision["reason"], decision["observed"]) == (
        "stop",
        "own_failures",
        {"failure_ratio": 0.6, "samples": 5},
    )


async def test_a_region_that_cannot_be_listed_is_passed_over(bench: Bench) -> None:
    bench.provider.deaf.add("westus")
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(50)

    assert bench.provider.private() == sorted([*accounts("centraluseuap"), *accounts("eastus")])
    assert [(w["t"], w["region"]) for w in bench.of("remediation_wave_started")] == [
        (0.0, "centraluseuap"),
        (14.0, "westus"),
        (14.0, "eastus"),
    ]
    await job.close()


async def test_the_status_has_the_fields_of_an_azure_remediation(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(5)
    status = job.status()

    assert status["provisioningState"] == "Evaluating"
    assert status["correlationId"] == bench.of("remediation_started")[0]["run"]
    assert status["createdOn"] == "2026-02-02T18:03:00.0000000Z"
    assert (status["parallelDeployments"], status["resourceCount"]) == (10, 500)
    assert status["failureThreshold"] == {"percentage": 1.0}
    assert status["deploymentStatus"]["totalDeployments"] == 5
    await asyncio.sleep(40)
    assert job.status()["provisioningState"] == "Complete"
    assert job.status()["lastUpdatedOn"] == "2026-02-02T18:03:42.0000000Z"
    await job.close()


async def test_changed_settings_take_effect_with_the_next_run(bench: Bench) -> None:
    job = bench.workflow(**DEFECTIVE)
    job.start()
    await asyncio.sleep(50)
    bench.provider.switch("vmextmieastus", True)
    bench.provider.switch("mslogseastus", True)
    job.settings = bench.workflow_settings(gate=NAIVE_GATE, period_s=60)
    await asyncio.sleep(20)

    assert flipped(bench.provider)[-1] == (60.0, "mslogseastus", False)
    assert "vmextmieastus" not in bench.provider.private()
    await job.close()
