"""Alerts over a series table, one sample a second; every moment is exact."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from chaos.experiment.alerts import AlertEvaluator, AlertTerm, Rule, default_alerts
from chaos.record.series import SeriesTable
from services.chassis.clock import Clock
from services.chassis.events import Events

Totals = Mapping[tuple[str, tuple[tuple[str, str], ...]], Callable[[float], float]]


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(labels.items())


def rate(before: float, after: float, at: float) -> Callable[[float], float]:
    """A counter that grows by `before` a second, from `at` on by `after`."""
    return lambda t: before * min(t, at) + after * max(0.0, t - at)


class Bench:
    """Feeds an evaluator from functions of time and keeps what it says."""

    def __init__(self, rules: tuple[Rule, ...], totals: Totals, *, pace: float = 1.0) -> None:
        self.table = SeriesTable()
        self.totals = list(totals.values())
        for name, labels in totals:
            self.table.column(name, dict(labels))
        self.t = 0.0
        self.lines: list[dict[str, Any]] = []
        self.evaluator = AlertEvaluator(
            rules, self.table, Events(self.lines.append, Clock(lambda: self.t, 0.0), "controller"), pace=pace
        )

    def run(self, end: float) -> "Bench":
        while self.t <= end:
            self.table.append(self.t, np.array([total(self.t) for total in self.totals]))
            self.evaluator.evaluate(self.t)
            self.t += 1.0
        return self

    def said(self, name: str = "") -> list[tuple[float, str, str]]:
        return [(e["at"], e["region"], e["state"]) for e in self.lines if name in ("", e["name"])]


def ratio_rule(**more: Any) -> Rule:
    line = {
        "record": "region:x:ratio",
        "of": {"metric": "x_total", "where": {"result": ["bad", "worse"]}},
        "to": {"metric": "x_total"},
        "windows_s": [10],
        "above": 0.25,
    }
    values = {
        "name": "Bad",
        "severity": "page",
        "service": "identity",
        "summary": "s",
        "look_at": "l",
        "for_s": 3,
        "all": [line],
        **more,
    }
    return Rule.model_validate(values)


def failing(region: str, at: float, until: float = 1e9) -> dict[Any, Callable[[float], float]]:
    """Ten a second; all bad from `at` until `until`."""

    def bad(t: float) -> float:
        return 10.0 * (min(max(t, at), until) - at)

    return {
        series("x_total", region=region, result="ok"): lambda t: 10.0 * t - bad(t),
        series("x_total", region=region, result="bad"): bad,
    }


def test_an_alert_fires_when_its_condition_has_held_for_its_time() -> None:
    # 3 of 10 seconds bad at t=103: 0.3 > 0.25; three seconds later it fires.
    assert Bench((ratio_rule(),), failing("eastus", 100.0)).run(120).said() == [(106.0, "eastus", "firing")]


def test_it_is_resolved_at_the_first_step_without_the_condition() -> None:
    # At t=128 the window 118…128 holds 2 bad seconds of 10.
    found = Bench((ratio_rule(),), failing("eastus", 100.0, 120.0)).run(140).said()

    assert found == [(106.0, "eastus", "firing"), (128.0, "eastus", "resolved")]


def test_an_interrupted_condition_restarts_its_pending_time() -> None:
    def bad(t: float) -> float:
        return 10.0 * (min(max(t, 100.0), 103.0) - 100.0 + max(t, 200.0) - 200.0)

    totals = {
        series("x_total", region="eastus", result="ok"): lambda t: 10.0 * t - bad(t),
        series("x_total", region="eastus", result="bad"): bad,
    }

    # The first failure keeps the condition up for the steps 103 … 110, two short of the time.
    assert Bench((ratio_rule(for_s=10),), totals).run(240).said() == [(213.0, "eastus", "firing")]


def test_an_alert_can_be_kept_firing_over_a_gap() -> None:
    rule = ratio_rule(keep_for_s=15)

    # The condition last held at 127; at 142 it has been absent for the 15 seconds.
    found = Bench((rule,), failing("eastus", 100.0, 120.0)).run(160).said()
    assert found == [(106.0, "eastus", "firing"), (142.0, "eastus", "resolved")]


def test_keep_firing_has_no_effect_before_the_first_firing() -> None:
    rule = ratio_rule(for_s=30, keep_for_s=60)

    assert Bench((rule,), failing("eastus", 100.0, 120.0)).run(200).said() == []


def test_regions_are_evaluated_independently() -> None:
    totals = {**failing("eastus", 100.0), **failing("westus", 110.0), **failing("northeurope", 1e8)}

    found = Bench((ratio_rule(),), totals).run(130)

    assert found.said() == [(106.0, "eastus", "firing"), (116.0, "westus", "firing")]
    assert found.evaluator.firing() == [("Bad", "eastus"), ("Bad", "westus")]


def test_without_groups_all_regions_are_one() -> None:
    # A quarter bad is not above 0.25; with the second region it is half, from 113 (3 of 20 + 10 of 20 seconds).
    totals = {**failing("eastus", 100.0), **failing("westus", 110.0)}
    rule = ratio_rule(by=[])

    assert Bench((rule,), totals).run(130).said() == [(109.0, "global", "firing")]


def test_a_rule_over_groups_fires_once_when_enough_hold_together_and_names_them() -> None:
    totals = {**failing("a", 100.0), **failing("b", 110.0), **failing("c", 120.0), **failing("d", 1e8)}
    found = Bench((ratio_rule(groups_at_least=3),), totals).run(150)

    assert found.said() == [(126.0, "global", "firing")]
    assert found.lines[0]["regions"] == ["a", "b", "c"]
    assert found.lines[0]["value"] == 3.0


def test_every_window_has_to_agree() -> None:
    line = ratio_rule().all[0].model_copy(update={"windows_s": (60.0, 5.0)})
    rule = ratio_rule(for_s=0, all=[line.model_dump(exclude_none=True)])

    # The long window passes 0.25 at 116 (16 of 60); the short one forgets the failure at 120 + 4.
    found = Bench((rule,), failing("eastus", 100.0, 120.0)).run(200).said()
    assert found == [(116.0, "eastus", "firing"), (124.0, "eastus", "resolved")]


def test_every_line_has_to_agree_for_the_same_group() -> None:
    gauge = {
        "record": "region:busy:ratio",
        "of": {"metric": "busy"},
        "to": {"metric": "workers"},
        "now": True,
        "above": 0.95,
    }
    ratio = ratio_rule().all[0].model_dump(exclude_none=True)
    rule = ratio_rule(for_s=0, all=[ratio, gauge])
    totals = {
        **failing("eastus", 100.0),
        **failing("westus", 100.0),
        series("busy", region="eastus", instance="n1"): lambda t: 2.0 if t >= 110 else 1.0,
        series("busy", region="eastus", instance="n2"): lambda _t: 2.0,
        series("workers", region="eastus", instance="n1"): lambda _t: 2.0,
        series("workers", region="eastus", instance="n2"): lambda _t: 2.0,
        series("busy", region="westus", instance="n1"): lambda _t: 1.0,
        series("workers", region="westus", instance="n1"): lambda _t: 2.0,
    }

    assert Bench((rule,), totals).run(130).said() == [(110.0, "eastus", "firing")]


def test_the_largest_instance_counts_when_asked_for() -> None:
    line = {"record": "region:age:seconds", "of": {"metric": "age"}, "now": True, "aggregate": "max", "above": 30}
    totals = {
        series("age", region="eastus", instance="a"): lambda t: t,
        series("age", region="eastus", instance="b"): lambda _t: 20.0,
    }

    found = Bench((ratio_rule(for_s=5, all=[line]),), totals).run(60)

    assert found.said() == [(36.0, "eastus", "firing")]
    assert found.lines[0]["value"] == 36.0


def test_a_gauge_that_reads_zero_does_not_divide() -> None:
    line = {"record": "region:a:ratio", "of": {"metric": "a"}, "to": {"metric": "b"}, "now": True, "above": 0.5}
    totals = {series("a", region="r"): lambda _t: 1.0, series("b", region="r"): lambda _t: 0.0}

    assert Bench((ratio_rule(for_s=0, all=[line]),), totals).run(10).said() == []


def test_an_increase_alone_can_be_compared() -> None:
    line = {"record": "region:wrong:increase", "of": {"metric": "wrong_total"}, "windows_s": [60], "above": 0}
    totals = {series("wrong_total", region="r"): lambda t: 3.0 if t >= 100 else 0.0}

    found = Bench((ratio_rule(for_s=0, all=[line]),), totals).run(200).said()
    assert found == [(100.0, "r", "firing"), (160.0, "r", "resolved")]


def test_series_that_do_not_exist_never_fire() -> None:
    assert Bench(default_alerts(), failing("eastus", 10.0)).run(100).lines == []


def test_a_paced_rule_keeps_the_shorter_time_and_others_stay_as_they_are() -> None:
    paced, plain = ratio_rule(paced=True, for_s=10, keep_for_s=20), ratio_rule(for_s=10)

    assert paced.at_pace(0.5).for_s == 5
    assert paced.at_pace(0.5).keep_for_s == 10
    assert paced.at_pace(0.5).all[0].windows_s == (5.0,)
    assert paced.at_pace(0.1).all[0].windows_s == (2.0,)
    assert plain.at_pace(0.5) == plain
    assert paced.at_pace(1.0) is paced


def test_the_pace_of_a_scenario_reaches_its_rules() -> None:
    rule = ratio_rule(paced=True, for_s=10)

    # Window 5 s: 2 of 5 bad at 102 is above 0.25; five seconds later it fires.
    assert Bench((rule,), failing("eastus", 100.0), pace=0.5).run(120).said() == [(107.0, "eastus", "firing")]


def attempts(region: str, at: float) -> Totals:
    name = "identity_client_attempts_total"
    return {
        series(name, region=region, layer="sdk", outcome="ok"): rate(18.0, 0.0, at),
        series(name, region=region, layer="sdk", outcome="timeout"): rate(0.0, 18.0, at),
        series(name, region=region, layer="workflow", outcome="timeout"): rate(5.0, 5.0, at),
    }


def test_identity_availability_fires_six_seconds_after_the_collapse_as_in_the_report() -> None:
    found = Bench(default_alerts(), {**attempts("eastus", 365.0), **attempts("westus", 1e8)}).run(400)

    assert found.said("ManagedIdentityAvailabilityBurn") == [(371.0, "eastus", "firing")]


def test_a_short_blip_burns_too_little_to_page() -> None:
    name = "identity_client_attempts_total"
    totals = {
        series(name, region="eastus", layer="sdk", outcome="ok"): lambda t: 18.0 * t,
        series(name, region="eastus", layer="sdk", outcome="timeout"): lambda t: 30.0 if t >= 100 else 0.0,
    }

    assert Bench(default_alerts(), totals).run(200).said("ManagedIdentityAvailabilityBurn") == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_counter_born_with_its_value_counts_in_full(count: int) -> None:
    line = {"record": "region:wrong:increase", "of": {"metric": "wrong_total"}, "windows_s": [60], "above": 0}
    table = SeriesTable()
    lines: list[dict[str, Any]] = []
    table.append(0.0, np.array([]))
    evaluator = AlertEvaluator(
        (ratio_rule(for_s=0, all=[line]),), table, Events(lines.append, Clock(lambda: 0.0, 0.0), "x")
    )
    evaluator.evaluate(0.0)
    table.column("wrong_total", {"region": "r"})
    table.append(1.0, np.array([float(count)]))
    evaluator.evaluate(1.0)

    assert len(lines) == count


def test_a_line_has_exactly_one_expression() -> None:
    with pytest.raises(ValueError, match="exactly one of `windows_s` and `now`"):
        AlertTerm.model_validate({"record": "a:b:c", "of": {"metric": "x"}, "above": 1})
    with pytest.raises(ValueError, match="exactly one of `windows_s` and `now`"):
        AlertTerm.model_validate({"record": "a:b:c", "of": {"metric": "x"}, "above": 1, "now": True, "windows_s": [5]})
