"""The queue of a node: its bound and its order of service."""

import pytest

from services.identity.line import ServiceTime, WaitingLine, bound, build_line, is_bounded
from services.identity.settings import IdentitySettings
from services.policies.fairness import FairQueue


def _line(**settings: object) -> tuple[WaitingLine[str], IdentitySettings]:
    chosen = IdentitySettings.model_validate(settings)
    line: WaitingLine[str] = build_line(chosen, lambda item: item[0], 0.0)
    return line, chosen


def _accepted(line: WaitingLine[str]) -> int:
    return sum(line.offer(f"{number}", 0.0) for number in range(100))


def test_the_queue_of_the_incident_holds_sixty() -> None:
    line, settings = _line()
    assert not is_bounded(settings)
    assert _accepted(line) == 60


@pytest.mark.parametrize("discipline", ["fifo", "lifo", "adaptive_lifo", "codel", "codel_lifo", "bounded_wait"])
@pytest.mark.parametrize(("service_s", "waiting"), [(0.2, 5), (0.4, 2), (0.1, 10), (5.0, 1)])
def test_a_bounded_queue_holds_what_half_a_second_serves(discipline: str, service_s: float, waiting: int) -> None:
    if discipline == "bounded_wait" and service_s == 5.0:
        waiting = 0  # the policy itself has no least length
    line, settings = _line(discipline=discipline, bounded=True)
    bound(line, settings, service_s)
    assert _accepted(line) == waiting


def test_a_bound_is_never_longer_than_the_line() -> None:
    line, settings = _line(bounded=True, queue_length=3, wait_budget_s=60.0)
    bound(line, settings, 0.2)
    assert _accepted(line) == 3


def test_a_fair_line_serves_tenants_in_turn_and_drops_from_the_longest() -> None:
    line, settings = _line(fair=True, bounded=True)
    assert isinstance(line, FairQueue)
    bound(line, settings, 0.2)
    for item in ("a1", "a2", "a3", "a4", "a5", "b1"):
        assert line.offer(item, 0.0)
    assert list(line.pop_dropped()) == ["a5"]
    assert [line.take(0.0) for _ in range(5)] == ["a1", "b1", "a2", "a3", "a4"]


def test_the_service_time_is_a_running_mean() -> None:
    service = ServiceTime(0.2)
    service.learn(0.4)
    assert service.mean_s == pytest.approx(0.22)
    for _ in range(100):
        service.learn(0.4)
    assert service.mean_s == pytest.approx(0.4, abs=1e-5)
