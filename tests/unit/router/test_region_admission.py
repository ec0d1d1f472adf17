"""What an operator's rule lets into a region, at exact times."""

from services.router.state import OPEN, TRAFFIC, RegionAdmission, Traffic


def _admitted(admission: RegionAdmission, start: float, end: float, step: float) -> int:
    count = round((end - start) / step)
    return sum(admission.admit(start + index * step) for index in range(count))


def test_an_open_gate_admits_everything() -> None:
    admission = RegionAdmission(OPEN)
    assert admission.limit_per_s(0.0) == float("inf")
    assert _admitted(admission, 0.0, 1.0, 0.001) == 1000


def test_a_drained_region_admits_nothing() -> None:
    admission = RegionAdmission(Traffic(mode="drain"))
    assert admission.limit_per_s(5.0) == 0.0
    assert _admitted(admission, 0.0, 100.0, 0.1) == 0


RAMP = Traffic(mode="ramp", since_epoch_s=1000.0, capacity_per_s=90.0)


def test_a_ramp_rises_from_ten_to_eighty_five_percent_and_then_opens() -> None:
    admission = RegionAdmission(RAMP)
    assert admission.limit_per_s(1000.0) == 9.0
    assert admission.limit_per_s(1040.0) == 90.0 * 0.475
    assert admission.limit_per_s(1080.0) == 76.5
    assert admission.limit_per_s(1099.9) == 76.5
    assert not admission.is_open(1099.9)
    assert admission.is_open(1100.0)


def test_a_ramp_limits_the_rate_whatever_is_offered() -> None:
    admission = RegionAdmission(RAMP)
    assert _admitted(admission, 1000.0, 1001.0, 0.002) == 9
    assert (
        _admitted(RegionAdmission(RAMP), 1085.0, 1086.0, 0.001) == 76
    )  # the bucket starts empty: no spike after a drain


def test_traffic_survives_its_way_through_the_store() -> None:
    assert TRAFFIC.read(RAMP.to_json()) == RAMP


def test_backlog_leaves_a_reserve_of_a_ramp_to_fresh_requests() -> None:
    admission, naive = RegionAdmission(RAMP, reserve=3.0), RegionAdmission(RAMP)
    for one in (admission, naive):
        one.admit(1000.0)
    backlog = [sum(one.admit(1001.0, is_backlog=True) for _ in range(20)) for one in (admission, naive)]
    assert backlog == [6, 9]
    assert sum(admission.admit(1001.0) for _ in range(20)) == 3
