"""Which hosts are ejected, for how long, and when none is."""

from typing import Any

from services.policies.outcome import AttemptOutcome
from services.policies.outlier import OutlierDetector, OutlierSettings

GOOD, BAD, IGNORED = AttemptOutcome.SUCCESS, AttemptOutcome.DROPPED, AttemptOutcome.IGNORED


def detector(hosts: int = 4, **changes: Any) -> OutlierDetector:
    settings = OutlierSettings.model_validate({"enabled": True} | changes)
    return OutlierDetector([f"n{number}" for number in range(hosts)], settings)


def fail(policy: OutlierDetector, name: str, now: float, times: int = 5) -> None:
    for _ in range(times):
        policy.on_outcome(name, BAD, now)


def test_five_failures_in_a_row_eject_a_host_for_thirty_seconds() -> None:
    policy = detector()
    fail(policy, "n1", 0.0, times=4)
    assert policy.available(0.0) == ("n0", "n1", "n2", "n3")
    fail(policy, "n1", 0.0, times=1)
    assert policy.available(29.999) == ("n0", "n2", "n3")
    assert policy.available(30.0) == ("n0", "n1", "n2", "n3")


def test_one_success_starts_the_count_again_and_ignored_outcomes_do_not() -> None:
    policy = detector()
    fail(policy, "n1", 0.0, times=4)
    policy.on_outcome("n1", GOOD, 0.0)
    fail(policy, "n1", 0.0, times=4)
    assert len(policy.available(0.0)) == 4
    policy.on_outcome("n1", IGNORED, 0.0)
    fail(policy, "n1", 0.0, times=1)
    assert len(policy.available(0.0)) == 3


def test_each_ejection_lasts_longer_up_to_five_minutes() -> None:
    policy, now, lengths = detector(), 0.0, []
    for _ in range(12):
        fail(policy, "n1", now)
        began = now
        while "n1" not in policy.available(now):
            now += 1.0
        lengths.append(now - began)
    assert lengths == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


def test_ten_healthy_seconds_reduce_the_ejection_count_by_one() -> None:
    policy = detector()
    fail(policy, "n1", 0.0)
    fail(policy, "n1", 30.0)  # second: until 90
    assert "n1" not in policy.available(89.0)
    assert "n1" in policy.available(90.0)
    fail(policy, "n1", 100.0)  # one forgiven: 60 s again
    assert "n1" not in policy.available(159.0)
    assert "n1" in policy.available(160.0)


def test_a_long_healthy_time_resets_the_ejection_count() -> None:
    policy = detector()
    fail(policy, "n1", 0.0)
    fail(policy, "n1", 30.0)
    fail(policy, "n1", 1000.0)
    assert "n1" not in policy.available(1029.0)
    assert "n1" in policy.available(1030.0)


def test_a_host_comes_back_with_a_clean_count() -> None:
    policy = detector()
    fail(policy, "n1", 0.0)
    fail(policy, "n1", 1.0, times=4)  # answers of before the ejection
    fail(policy, "n1", 30.0, times=4)
    assert "n1" in policy.available(30.0)
    fail(policy, "n1", 30.0, times=1)
    assert "n1" not in policy.available(30.0)


def test_an_empty_host_set_is_not_panic_mode() -> None:
    assert detector(hosts=0).in_panic() is False


def test_at_most_ten_percent_are_ejected() -> None:
    policy = detector(hosts=20)
    for number in range(5):
        fail(policy, f"n{number}", 0.0)
    assert len(policy.available(0.0)) == 18


def test_one_of_four_may_be_ejected_only_where_one_always_may() -> None:
    policy = detector(hosts=4)
    fail(policy, "n0", 0.0)
    fail(policy, "n1", 0.0)
    assert policy.available(0.0) == ("n1", "n2", "n3")
    strict = detector(hosts=4, always_one=False)
    fail(strict, "n0", 0.0)
    assert len(strict.available(0.0)) == 4


def test_below_half_in_service_everyone_is_used_again() -> None:
    policy = detector(hosts=4, ejected_share_max=1.0)
    fail(policy, "n0", 0.0)
    fail(policy, "n1", 0.0)
    assert policy.available(0.0) == ("n2", "n3")
    assert policy.in_panic() is False
    fail(policy, "n2", 0.0)
    assert policy.in_panic() is True
    assert len(policy.available(0.0)) == 4


def test_without_panic_the_last_host_gets_everything() -> None:
    policy = detector(hosts=4, ejected_share_max=1.0, panic_share=0.0)
    for number in range(3):
        fail(policy, f"n{number}", 0.0)
    assert policy.available(0.0) == ("n3",)


def test_panic_ends_when_hosts_come_back() -> None:
    policy = detector(hosts=4, ejected_share_max=1.0)
    for number in range(3):
        fail(policy, f"n{number}", float(number))
    assert len(policy.available(29.0)) == 4
    assert policy.available(30.0) == ("n0", "n3")
    assert policy.available(31.0) == ("n0", "n1", "n3")


def test_a_changed_fleet_keeps_the_record_of_its_known_hosts() -> None:
    policy = detector(hosts=2)
    fail(policy, "n1", 0.0)
    policy.set_hosts(["n1", "n2", "n3"])
    assert policy.available(1.0) == ("n2", "n3")
    policy.on_outcome("n0", BAD, 1.0)  # gone: nothing to learn
    assert policy.available(30.0) == ("n1", "n2", "n3")


def test_off_ejects_no_host() -> None:
    policy = detector(enabled=False)
    fail(policy, "n1", 0.0, times=100)
    assert len(policy.available(0.0)) == 4
    assert repr(policy) == "<OutlierDetector off, 4 hosts>"


def test_reprs() -> None:
    policy = detector(ejected_share_max=1.0)
    fail(policy, "n1", 0.0)
    assert repr(policy) == "<OutlierDetector 1/4 ejected>"
    fail(policy, "n2", 0.0)
    fail(policy, "n3", 0.0)
    assert repr(policy) == "<OutlierDetector 3/4 ejected, panic>"


def test_failures_of_requests_from_before_the_ejection_do_not_eject_again() -> None:
    detector = OutlierDetector(("a", "b", "c", "d"), OutlierSettings(enabled=True))
    for _ in range(5):
        detector.on_outcome("a", AttemptOutcome.DROPPED, 1.0, 0.5)
    assert "a" not in detector.available(30.9)
    assert "a" in detector.available(31.0)
    for _ in range(5):
        detector.on_outcome("a", AttemptOutcome.DROPPED, 31.1, 0.5)
    assert "a" in detector.available(31.2)
    for _ in range(5):
        detector.on_outcome("a", AttemptOutcome.DROPPED, 31.2, 31.1)
    assert "a" not in detector.available(31.3)
