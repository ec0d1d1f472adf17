"""What may be imported as a part, and what a part may decide in a run."""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaos.experiment.runs import _settle
from chaos.remediation.gate import Gate
from chaos.remediation.gate_model import Decision, RolloutWave
from chaos.remediation.settings import GateSettings
from services.chassis.faults import FaultRule, decide
from services.clients.identity.client import IdentityClientSettings
from services.parts.declared import declare, declare_folder, named_parts
from services.parts.kind import PartError
from services.parts.loading import build, find, part_sources
from services.policies.failover import FailoverSettings
from services.policies.queue_discipline import QUEUE
from services.policies.retry import OWN_ATTEMPTS_MAX, RETRY, CallState, RetrySettings
from tests.unit.parts.own_package import isolate

MODULE = """
from services.chassis.faults import OwnEffect

class Waits:
    def __init__(self, after_s=0.5):
        self.after_s = after_s
    def wait_s(self, attempt, rng):
        return self.after_s

class Elsewhere:
    def __init__(self, home, alternate): ...
    def route(self, now, rng, *, is_retry=False):
        return "mars"
    def on_outcome(self, region, outcome, now): ...

class Maybe:
    def __init__(self, verdict="maybe", reason=""):
        self.made = verdict, reason
    def decide(self, signals, wave, now_t):
        from chaos.remediation.gate_model import Decision
        return Decision(*self.made)

class Teapot:
    def __init__(self, status=200):
        self.status = status
    def effect(self, request, rng):
        return OwnEffect(status=self.status)

FUNCTION = len
"""
NAMES = ("loading_parts:Waits", "loading_parts:Elsewhere", "loading_parts:Maybe", "loading_parts:Teapot")


@pytest.fixture(autouse=True)
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    monkeypatch.delitem(sys.modules, "loading_hostile", raising=False)
    (tmp_path / "loading_parts.py").write_text(MODULE)
    declare_folder(tmp_path)


class Refused:
    """What a callee answered."""

    retryable = True
    retry_after_s = None


def failed(number: int) -> CallState:
    state = CallState(0.0, Random(1))
    state.attempt_number = number
    state.set_result(Refused())
    return state


def test_only_a_declared_part_is_imported() -> None:
    with pytest.raises(PartError, match="loading_parts:Waits: not declared to this process"):
        find(RETRY, NAMES[0])
    declare(NAMES)

    assert find(RETRY, NAMES[0]).__name__ == "Waits"


def test_a_setting_that_arrives_over_http_cannot_import_a_module() -> None:
    with pytest.raises(ValueError, match="not declared"):
        IdentityClientSettings.model_validate({"sdk": {"part": "subprocess:Popen", "options": {"args": "id"}}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loading_parts:Gone", "loading_parts has no Gone"),
        ("loading_parts:FUNCTION", "is not a class"),
        ("loading_parts:Elsewhere", "is no retry: has no wait_s"),
        ("gone:Waits", "cannot be imported: ModuleNotFoundError"),
        ("../loading_parts", "should be module:Class, or an installed retry"),
    ],
)
def test_what_is_no_part_is_refused_by_its_name(name: str, message: str) -> None:
    declare([name])

    with pytest.raises(PartError, match=message) as caught:
        find(RETRY, name)

    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("import sys; sys.exit('bye')", "cannot be imported: SystemExit: bye"),
        ("def __getattr__(name): raise RuntimeError(name)", "cannot be imported: RuntimeError: "),
        ("class Meta(type):\n def __getattr__(a, b): 1/0\nclass Part(metaclass=Meta): pass", "ZeroDivisionError"),
    ],
)
def test_a_module_that_ends_the_process_or_raises_is_no_part(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "loading_hostile.py").write_text(text)
    declare(["loading_hostile:Part"])

    with pytest.raises(PartError, match=f"^loading_hostile:Part: .*{said}"):
        find(RETRY, "loading_hostile:Part")


@pytest.mark.parametrize("does", ["1/0", "raise SystemExit(0)", "raise KeyError('x')"])
def test_a_constructor_that_ends_the_process_or_raises_builds_no_part(does: str, tmp_path: Path) -> None:
    text = f"class Part:\n    def __init__(self): {does}\n    def wait_s(self, attempt, rng): ...\n"
    (tmp_path / "loading_hostile.py").write_text(text)
    declare(["loading_hostile:Part"])

    with pytest.raises(PartError, match=r"^loading_hostile:Part: cannot be built with \{\}: "):
        build(RETRY, "loading_hostile:Part", {})


def test_a_part_that_ends_the_process_during_a_run_leaves_no_verdict() -> None:
    """Its exit code would be that of the command: 0 is "as expected"."""

    def run() -> None:
        raise SystemExit(0)

    with pytest.raises(PartError, match=r"^a part of your own ended the run: SystemExit: 0$"):
        _settle(run, [], {}, None)


def test_what_a_part_prints_is_not_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "print('imported')\nclass Part:\n    def __init__(self): print('built')\n    def wait_s(self, a, b): ...\n"
    (tmp_path / "loading_hostile.py").write_text(text)
    declare(["loading_hostile:Part"])

    build(RETRY, "loading_hostile:Part", {})

    assert capsys.readouterr() == ("", "imported\nbuilt\n")


@pytest.mark.parametrize("name", [":Part", ".a:Part"])
def test_a_declared_name_of_no_file_has_no_sources(name: str) -> None:
    declare([name])

    assert part_sources() == []


def test_a_file_beside_the_scenario_shadows_no_module(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("class Random:\n    def wait_s(self, attempt, rng): return 1.0\n")
    declare(["random:Random"])

    with pytest.raises(PartError, match="random:Random: is no retry"):
        find(RETRY, "random:Random")


def test_options_go_to_the_constructor_and_are_checked_with_the_settings() -> None:
    declare(NAMES)

    assert RetrySettings(part=NAMES[0], options={"after_s": 2}).own().after_s == 2
    with pytest.raises(ValueError, match=r"cannot be built with \{.speed.: 2\}"):
        RetrySettings(part=NAMES[0], options={"speed": 2})
    with pytest.raises(PartError, match="is no queue: has no offer, take, pop_dropped, drain, __len__"):
        build(QUEUE, NAMES[0], {})


def test_a_retry_part_gives_up_and_waits_no_impossible_time() -> None:
    declare(NAMES)
    policy = RetrySettings(part=NAMES[0]).build()

    def gives_up(number: int) -> bool:
        state = failed(number)
        state.upcoming_sleep = policy.wait(state)
        return policy.stop(state)

    assert [gives_up(number) for number in (1, OWN_ATTEMPTS_MAX - 1, OWN_ATTEMPTS_MAX)] == [False, False, True]
    for impossible_s in (-1.0, 3601.0, float("nan")):
        bad = RetrySettings.model_construct(part=NAMES[0], options={"after_s": impossible_s}, enabled=True).build()
        with pytest.raises(PartError, match="loading_parts:Waits: waits"):
            bad.wait(failed(1))


def test_a_failover_part_is_held_to_the_two_regions() -> None:
    declare(NAMES)

    with pytest.raises(PartError, match="loading_parts:Elsewhere: routes to 'mars'; should be eastus or westus"):
        FailoverSettings(part=NAMES[1]).build("eastus", "westus").route(0.0, Random(1))


class NoSignals:
    def failure_ratio(self, region: str, start_t: float, end_t: float) -> None:
        return None


def test_a_gate_part_has_three_verdicts_and_a_short_reason() -> None:
    declare(NAMES)
    wave = RolloutWave("eastus", "East US", 0.0, 1, 0)

    with pytest.raises(PartError, match="decides 'maybe'; should be proceed, hold, stop"):
        Gate(GateSettings(part=NAMES[2])).decide(NoSignals(), wave, 1.0)
    gate = Gate(GateSettings(part=NAMES[2], options={"verdict": "hold", "reason": "x" * 100}))
    assert gate.decide(NoSignals(), wave, 1.0) == Decision("hold", "x" * 60)
    assert gate.counted_as(Decision("hold", "x")) == "own", "reasons of a part are no label values"


def rule(**parameters: Any) -> FaultRule:
    stored = {"id": "f1", "kind": NAMES[3], "expires_at": 10.0, "parameters": parameters}
    return FaultRule.from_json(json.dumps(stored))


def test_a_fault_part_has_only_effects_that_a_fault_may_have() -> None:
    declare(NAMES)

    (effect,) = decide([rule(status=503)], "/x", 1.0, Random(1))
    assert (effect.status, effect.ends) == (503, True)
    with pytest.raises(PartError, match="loading_parts:Teapot: no valid effect"):
        decide([rule(status=200)], "/x", 1.0, Random(1))
    with pytest.raises(ValueError, match=r"cannot be built with \{.power.: 9\}"):
        rule(power=9)


def test_the_parts_of_a_document_are_found_wherever_they_are_named() -> None:
    document = {
        "settings": {"identity": {"queue": {"part": "a:B"}}, "loadgen": {"own_tenants": [{"part": "c:D"}]}},
        "timeline": [{"kind": "e:F"}, {"kind": "latency"}],
    }

    assert list(named_parts(document)) == ["a:B", "c:D", "e:F", "latency"]
