"""The pure rules of a node, with exact numbers."""

from random import Random

import pytest

from services.chassis.settings import SettingsError, validate
from services.identity.settings import IdentitySettings
from services.identity.state import NodePhysics


class _Fixed(Random):
    """A stream whose exponential draws are always 1, so that means come out exactly."""

    def expovariate(self, lambd: float = 1.0) -> float:
        return 1.0 / lambd


def test_a_warm_idle_node_takes_its_mean_service_time() -> None:
    physics = NodePhysics(IdentitySettings())
    physics.warmth = 1.0
    assert physics.service_time_s(0, _Fixed()) == 0.2


def test_a_cold_node_takes_twice_as_long() -> None:
    assert NodePhysics(IdentitySettings()).service_time_s(0, _Fixed()) == 0.4


def test_a_full_queue_makes_work_three_times_slower() -> None:
    physics = NodePhysics(IdentitySettings())
    physics.warmth = 1.0
    assert physics.service_time_s(60, _Fixed()) == pytest.approx(0.6, rel=1e-12)


def test_slowdowns_switched_off_leave_the_base_time() -> None:
    physics = NodePhysics(IdentitySettings(overload_slowdown=0, cold_slowdown=0))
    assert physics.service_time_s(60, _Fixed()) == 0.2


def test_the_fixed_share_of_the_service_time_is_a_setting() -> None:
    exponential = NodePhysics(IdentitySettings(cold_slowdown=0, service_fixed_share=0))
    assert exponential.service_time_s(0, Random(1)) == 0.2 * Random(1).expovariate(1.0)
    fixed = NodePhysics(IdentitySettings(cold_slowdown=0, service_fixed_share=1))
    assert [fixed.service_time_s(0, Random(seed)) for seed in range(3)] == [0.2] * 3


def test_contention_slows_by_the_requests_in_service_and_is_off_by_default() -> None:
    warm = NodePhysics(IdentitySettings(cold_slowdown=0))
    assert warm.service_time_s(0, _Fixed(), serving=40) == 0.2
    contended = NodePhysics(IdentitySettings(cold_slowdown=0, contention_slowdown=0.01))
    assert contended.service_time_s(0, _Fixed(), serving=50) == pytest.approx(0.3, rel=1e-12)


def test_sixty_completions_warm_a_node_and_a_restart_cools_it() -> None:
    physics = NodePhysics(IdentitySettings())
    for _ in range(60):
        physics.on_completed()
    assert physics.warmth == pytest.approx(1.0, rel=1e-12)
    physics.restart()
    assert physics.warmth == 0.0


def test_overload_is_ninety_five_percent_of_the_queue_for_twenty_five_seconds() -> None:
    physics = NodePhysics(IdentitySettings())
    assert physics.overload_deadline(56, 100.0) is None
    assert physics.overload_deadline(57, 100.0) == 125.0
    assert physics.overload_deadline(60, 110.0) == 125.0


def test_a_moment_of_relief_resets_the_crash_timer() -> None:
    physics = NodePhysics(IdentitySettings())
    physics.overload_deadline(60, 100.0)
    assert physics.overload_deadline(56, 120.0) is None
    assert physics.overload_deadline(57, 121.0) == 146.0


def test_crashes_switched_off_never_come() -> None:
    physics = NodePhysics(IdentitySettings(crash_enabled=False))
    assert physics.overload_deadline(60, 0.0) is None


@pytest.mark.parametrize(
    ("field", "value"), [("workers", 0), ("service_time_s", -1), ("queue_length", 0), ("speed", 1)]
)
def test_a_bad_setting_is_named(field: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"identity\.{field}"):
        validate(IdentitySettings, {field: value}, "identity")
