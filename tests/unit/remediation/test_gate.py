"""The gate and its three defects, on samples in which the region just changed is plainly failing."""

from dataclasses import dataclass, field

import pytest

from chaos.remediation.gate import decide
from chaos.remediation.gate_model import Decision, RolloutWave
from chaos.remediation.settings import GateSettings, GateVariant

SETTINGS = GateSettings(settle_s=14, bake_s=60, samples_min=5, unhealthy_ratio=0.2, lag_s=30, stale_window_s=12)
OK, FAILED = True, False


@dataclass
class Samples:
    """Tries by region and time, counted as the health service would; remembers what it was asked."""

    tries: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)
    asked: list[tuple[str, float, float]] = field(default_factory=list)

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        self.asked.append((region, start_t, end_t))
        if region not in self.tries:
            return None
        found = [ok for t, ok in self.tries[region] if start_t < t <= end_t]
        return (found.count(FAILED) / len(found) if found else 0.0), len(found)


def every_second(start: int, end: int, ok: bool) -> list[tuple[float, bool]]:
    return [(float(t), ok) for t in range(start, end)]


def failing_since_100() -> Samples:
    return Samples({"eastus": every_second(0, 101, OK) + every_second(101, 300, FAILED)})


def wave(*, successful: int = 5, failed: int = 0) -> RolloutWave:
    return RolloutWave("eastus", "East US", 100.0, successful, failed)


def gate(variant: GateVariant, **more: float) -> GateSettings:
    return SETTINGS.model_copy(update={"variant": variant, **more})


def test_the_repaired_gate_stops_as_soon_as_there_are_enough_failures() -> None:
    samples = failing_since_100()

    assert decide(gate("repaired"), samples, wave(), 104.0) == Decision("hold", "no_data", 1.0, 4)
    assert decide(gate("repaired"), samples, wave(), 105.0) == Decision("stop", "unhealthy", 1.0, 5)


def test_the_repaired_gate_holds_for_the_whole_bake_time_and_then_proceeds() -> None:
    samples = Samples({"eastus": every_second(0, 300, OK)})

    assert decide(gate("repaired"), samples, wave(), 159.9) == Decision("hold", "baking", 0.0, 59)
    assert decide(gate("repaired"), samples, wave(), 160.0) == Decision("proceed", "healthy", 0.0, 60)


def test_the_repaired_gate_holds_without_data_however_long_it_takes() -> None:
    silent = Samples({"eastus": []})

    assert decide(gate("repaired"), silent, wave(), 10_000.0) == Decision("hold", "no_data", 0.0, 0)
    assert decide(gate("repaired"), Samples(), wave(), 10_000.0) == Decision("hold", "no_data", None, 0)


def test_the_threshold_itself_is_still_healthy() -> None:
    at_threshold = Samples({"eastus": every_second(101, 149, OK) + every_second(149, 161, FAILED)})

    assert decide(gate("repaired"), at_threshold, wave(), 160.0) == Decision("proceed", "healthy", 0.2, 60)


def test_the_repaired_gate_looks_only_at_the_time_since_the_change() -> None:
    before = Samples({"eastus": every_second(0, 100, FAILED) + every_second(101, 300, OK)})

    assert decide(gate("repaired"), before, wave(), 160.0).verdict == "proceed"


def test_missing_data_counts_as_healthy_when_the_query_matches_no_series() -> None:
    samples = failing_since_100()

    assert decide(gate("no_data_is_healthy"), samples, wave(), 114.0) == Decision("proceed", "no_data")
    assert samples.asked == [("East US", 100.0, 114.0)]


def test_the_same_gate_would_stop_if_its_query_found_anything() -> None:
    samples = Samples({"East US": every_second(101, 300, FAILED)})

    assert decide(gate("no_data_is_healthy"), samples, wave(), 114.0) == Decision("stop", "unhealthy", 1.0, 14)


def test_a_gate_that_watches_its_own_changes_sees_them_succeed() -> None:
    samples = failing_since_100()

    assert decide(gate("own_success"), samples, wave(), 114.0) == Decision("proceed", "own_success", 0.0, 5)
    assert samples.asked == []


def test_a_gate_that_watches_its_own_changes_stops_when_those_fail() -> None:
    strict = gate("own_success", failure_threshold_ratio=0.5)

    assert decide(strict, Samples(), wave(successful=2, failed=2), 114.0).verdict == "proceed"
    assert decide(strict, Samples(), wave(successful=1, failed=2), 114.0) == Decision("stop", "own_failures", 2 / 3, 3)


def test_azures_default_threshold_never_stops() -> None:
    assert decide(gate("own_success"), Samples(), wave(successful=0, failed=5), 114.0).verdict == "proceed"


def test_stale_data_are_from_before_the_change() -> None:
    samples = failing_since_100()

    assert decide(gate("stale_data"), samples, wave(), 114.0) == Decision("proceed", "healthy", 0.0, 12)
    assert samples.asked == [("eastus", 72.0, 84.0)]


def test_stale_data_show_the_failure_too_late() -> None:
    samples = failing_since_100()

    assert decide(gate("stale_data"), samples, wave(), 145.0) == Decision("stop", "unhealthy", 1.0, 12)


def test_without_old_samples_the_stale_gate_holds() -> None:
    assert decide(gate("stale_data"), Samples(), wave(), 114.0) == Decision("hold", "no_data")


@pytest.mark.parametrize("variant", ["no_data_is_healthy", "own_success", "stale_data"])
def test_every_defect_waves_a_failing_region_through_where_the_repaired_gate_stops(variant: GateVariant) -> None:
    assert decide(gate("repaired"), failing_since_100(), wave(), 114.0).verdict == "stop"
    assert decide(gate(variant), failing_since_100(), wave(), 114.0).verdict == "proceed"
