"""Pacing, capacity and staging: the operators' policies, in numbers."""

from random import Random

import pytest

from services.policies.capacity import ScaleOut, ScaleOutSettings, nodes_needed, with_headroom
from services.policies.pacing import Pacer, RequeueSettings
from services.policies.staging import StagedAccount, plan_restores


def test_a_paced_resume_starts_four_jobs_a_second() -> None:
    pacer = Pacer(4.0)
    assert [pacer.reserve(10.0) for _ in range(5)] == [10.0, 10.25, 10.5, 10.75, 11.0]


def test_a_pause_earns_no_burst() -> None:
    pacer = Pacer(4.0)
    pacer.reserve(10.0)
    assert [pacer.reserve(99.0), pacer.reserve(99.0)] == [99.0, 99.25]


def test_a_polling_scheduler_gets_one_job_per_slot() -> None:
    pacer = Pacer(2.0)
    assert [pacer.take(now) for now in (0.0, 0.25, 0.5, 0.75, 9.0, 9.0)] == [True, False, True, False, True, False]


def test_pacing_off_starts_everything_now() -> None:
    pacer = Pacer()
    assert [pacer.reserve(10.0) for _ in range(3)] == [10.0, 10.0, 10.0]
    assert all(pacer.take(10.0) for _ in range(100))
    assert repr(pacer) == "<Pacer off>"


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_per_s"):
        Pacer(0.0)


def test_the_incidents_requeue_is_ten_seconds_always_and_draws_nothing() -> None:
    rng = Random(1)
    before = rng.getstate()
    assert [RequeueSettings().delay_s(times, rng) for times in (1, 2, 50)] == [10.0, 10.0, 10.0]
    assert rng.getstate() == before


def test_jitter_spreads_a_requeue_over_five_to_fifteen_seconds() -> None:
    settings, rng = RequeueSettings(jitter=0.5), Random(1)
    delays = [settings.delay_s(1, rng) for _ in range(1000)]
    assert 5.0 <= min(delays) < 5.1
    assert 14.9 < max(delays) <= 15.0
    assert sum(delays) / 1000 == pytest.approx(10.0, abs=0.2)


def test_an_exponential_requeue_doubles_up_to_its_maximum() -> None:
    settings = RequeueSettings(multiplier=2.0)
    assert [settings.delay_s(times, Random(1)) for times in (1, 2, 3, 4, 5, 10_000)] == [10, 20, 40, 80, 120, 120]


def test_headroom_adds_its_share_of_nodes() -> None:
    assert with_headroom(4, 0.0) == 4
    assert with_headroom(4, 0.25) == 5
    assert with_headroom(4, 0.3) == 6
    assert with_headroom(10, 0.1) == 11


def test_the_collapse_needs_twenty_nine_to_forty_one_nodes() -> None:
    """docs/model.md §1 (6) says 29-40 for 286/10 to 402/10; 40.2 nodes are 41."""
    assert (nodes_needed(286, 10.0), nodes_needed(402, 10.0), nodes_needed(400, 10.0)) == (29, 41, 40)


def test_guarded_nodes_join_only_when_they_are_enough() -> None:
    guard = ScaleOut(ScaleOutSettings(guarded=True))
    assert guard.may_join(ready=3, in_rotation=8, offered_per_s=380.0, node_rate_per_s=10.0) is False
    assert guard.may_join(ready=29, in_rotation=8, offered_per_s=380.0, node_rate_per_s=10.0) is False
    assert guard.may_join(ready=30, in_rotation=8, offered_per_s=380.0, node_rate_per_s=10.0) is True
    assert guard.may_join(ready=3, in_rotation=8, offered_per_s=24.0, node_rate_per_s=10.0) is True


def test_guarded_nodes_must_be_warm() -> None:
    guard = ScaleOut(ScaleOutSettings(guarded=True))
    assert (guard.is_ready(0.0), guard.is_ready(0.89), guard.is_ready(0.9)) == (False, False, True)


def test_scale_out_off_lets_cold_nodes_in_at_full_weight() -> None:
    plain = ScaleOut()
    assert plain.is_ready(0.0) is True
    assert plain.may_join(ready=1, in_rotation=8, offered_per_s=380.0, node_rate_per_s=10.0) is True
    assert plain.may_join(ready=0, in_rotation=8, offered_per_s=0.0, node_rate_per_s=10.0) is False
    assert plain.weight(joined_at=5.0, now=5.0) == 1.0
    assert repr(plain) == "<ScaleOut off>"


def test_slow_start_follows_envoys_formula() -> None:
    slow = ScaleOut(ScaleOutSettings(slow_start_s=60.0))
    assert [slow.weight(100.0, now) for now in (100.0, 103.0, 115.0, 130.0, 160.0)] == [0.1, 0.1, 0.25, 0.5, 1.0]
    fast = ScaleOut(ScaleOutSettings(slow_start_s=60.0, aggression=2.0))
    assert fast.weight(100.0, 115.0) == 0.5
    tiny = ScaleOut(ScaleOutSettings(slow_start_s=0.5))
    assert tiny.weight(100.0, 100.2) == 1.0  # Envoy's age is never below one second
    assert repr(slow) == "<ScaleOut unguarded, slow start 60s>"


ACCOUNTS = [
    StagedAccount("eastus", 90.0),
    StagedAccount("westus", 10.0),
    StagedAccount("arc", 10.0),
    StagedAccount("pg", 5.0),
]


def names(order: str, spacing_s: float) -> list[tuple[float, str]]:
    plan = plan_restores(ACCOUNTS, 364.0, order=order, spacing_s=spacing_s)  # type: ignore[arg-type]
    return [(step.at, step.account.name) for step in plan]


def test_high_volume_accounts_come_last_and_apart() -> None:
    assert names("high_volume_last", 10.0) == [(364, "pg"), (374, "westus"), (384, "arc"), (394, "eastus")]


def test_the_other_orders() -> None:
    assert [name for _, name in names("high_volume_first", 1.0)] == ["eastus", "westus", "arc", "pg"]
    assert [name for _, name in names("as_listed", 1.0)] == ["eastus", "westus", "arc", "pg"]


def test_staging_off_restores_everything_at_once() -> None:
    assert {at for at, _ in names("as_listed", 0.0)} == {364.0}
    assert len(names("as_listed", 0.0)) == 4
    assert {step.at for step in plan_restores(ACCOUNTS, 364.0)} == {364.0}


def test_a_negative_spacing_is_refused() -> None:
    with pytest.raises(ValueError, match="spacing_s"):
        plan_restores(ACCOUNTS, 0.0, spacing_s=-1.0)


def test_reprs() -> None:
    pacer = Pacer(4.0)
    pacer.reserve(10.0)
    assert repr(pacer) == "<Pacer 4/s, next at 10.25>"
    guard = ScaleOut(ScaleOutSettings(guarded=True, slow_start_s=30.0))
    assert repr(guard) == "<ScaleOut guarded, warm >= 0.9, slow start 30s>"
