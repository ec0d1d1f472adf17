"""`check-part` accepts the templates, and refuses a part of each kind that draws, blocks or knows no bound."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.check_part.examine import EVERY_KIND, examine, kind_of
from services.parts import declared
from services.parts.kind import PartError
from tests.unit.parts.own_package import TEMPLATES, isolate

NAMES = {
    "retry": "own_retry:PoliteRetry",
    "budget": "own_budget:TenPercent",
    "admission": "own_admission:FailingShare",
    "queue": "own_queue:FreshFifo",
    "limit": "own_limit:Halving",
    "failover": "own_failover:OneInTen",
    "token_cache": "own_token_cache:SingleFlight",
    "gate": "own_gate:BeforeAndAfter",
    "fault": "own_fault:Leak",
    "action": "own_action:ShedInSteps",
    "journey": "own_journey:TwoSignIns",
}
KINDS = {kind.name: kind for kind in EVERY_KIND}
WORK = {
    "retry": ("wait_s(self, attempt, rng)", "wait_s(attempt, rng)"),
    "budget": ("may_retry(self, now)", "may_retry(now)"),
    "admission": ("should_reject(self, now, rng)", "should_reject(now, rng)"),
    "queue": ("offer(self, item, now)", "offer(item, now)"),
    "limit": ("on_sample(self, rtt_s, inflight, dropped, now)", "on_sample(rtt_s, inflight, dropped, now)"),
    "failover": ("route(self, now, rng, *, is_retry=False)", "route(now, rng, is_retry=is_retry)"),
    "token_cache": ("lookup(self, key, now)", "lookup(key, now)"),
    "gate": ("decide(self, signals, wave, now_t)", "decide(signals, wave, now_t)"),
    "fault": ("effect(self, request, rng)", "effect(request, rng)"),
    "action": ("async perform(self, desk)", "await perform(desk)"),
    "journey": ("start(self, planned)", "start(planned)"),
}
"""A method of each kind: how it is defined, and how the template's own is called."""
UNBOUNDED = {
    "retry": "return 0.5",
    "budget": "return True",
    "admission": "return True",
    "queue": "self._items.append((now, item)); return True",
    "limit": "self.limit += 1000",
    "failover": "self.__dict__.setdefault('all', []).append(now); return self.home",
    "token_cache": "self.__dict__.setdefault('all', []).append(key); return super().lookup(key, now)",
    "gate": "return Decision('hold', 'never sure')",
    "fault": "self.__dict__.setdefault('all', []).append(request); return None",
    "action": "\n        while True: await desk.set_load('eastus', 1.0)",
    "journey": "return self.again()",
}
AGAIN = """
    async def again(self):
        while True: await self._site.tools.identity.token("mine", "eastus", "", "https://x.example/")
"""
DEFECTS = {
    "random": ("pure and never blocking", "random.random", "random.random(); "),
    "blocking": ("pure and never blocking", "time.sleep", "sleep(0.001); "),
    "unbounded": ("bounded", "", ""),
}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Templates can be imported, and nothing of it stays."""
    isolate(monkeypatch)
    monkeypatch.setenv(declared.NAMES, ",".join([*NAMES.values(), "broken:Broken"]))
    monkeypatch.setenv(declared.FOLDER, str(TEMPLATES))
    sys.path.append(str(tmp_path))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith(("own_", "broken")):
            del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_is_found_to_be_of_its_kind_and_passes(kind: str) -> None:
    assert kind_of(NAMES[kind]) is KINDS[kind]
    assert examine(KINDS[kind], NAMES[kind], {}).broken == ""


def test_every_template_is_of_a_kind() -> None:
    assert {f"{path.stem}" for path in TEMPLATES.glob("*.py")} == {name.partition(":")[0] for name in NAMES.values()}


def broken(kind: str, defect: str) -> str:
    """The template of the kind, with a method that has the defect before it does its work."""
    module, _, template = NAMES[kind].partition(":")
    defined, called = WORK[kind]
    word, method = ("async def", defined.removeprefix("async ")) if defined.startswith("async ") else ("def", defined)
    awaits, call = ("await ", called.removeprefix("await ")) if called.startswith("await ") else ("", called)
    body = UNBOUNDED[kind] if defect == "unbounded" else f"{DEFECTS[defect][2]}return {awaits}super().{call}"
    return f"""
import random
from time import sleep
from chaos.remediation.gate_model import Decision
from {module} import {template}

class Broken({template}):
    {word} {method}: {body}
{AGAIN}
"""


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_is_refused_by_its_name(kind: str, defect: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(broken(kind, defect))

    found = examine(KINDS[kind], "broken:Broken", {})

    rule, word, _ = DEFECTS[defect]
    assert found.broken == rule, found
    assert word in found.why


OUTSIDE = {
    "time.localtime()": "time.localtime",
    "time.strftime('%Y')": "time.strftime",
    "pathlib.Path('/').joinpath('x').read_text()": "io.open",
    "os.listdir('/')": "os.listdir",
    "os.getenv('HOME')": "os.environ",
    "os.environ['HOME']": "os.environ",
    "'HOME' in os.environ": "os.environ",
    "list(os.environ.items())": "os.environ",
    "time.clock_gettime(time.CLOCK_REALTIME)": "time.clock_gettime",
    "select.select([], [], [], 0.001)": "select.select",
    "threading.Event().wait(0.001)": "threading.Event.wait",
    "queue.Queue().get(timeout=0.001)": "threading.Condition.wait",
}


@pytest.mark.parametrize("call", OUTSIDE)
def test_a_call_that_leaves_the_part_is_refused_even_if_the_part_catches_the_error(call: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        f"import os, pathlib, queue, select, threading, time\nclass Broken:\n    def wait_s(self, attempt, rng):\n"
        f"        try: {call}\n        except Exception: pass\n        return 0.5 if attempt.number < 3 else None\n"
    )

    found = examine(KINDS["retry"], "broken:Broken", {})

    assert (found.broken, found.why) == ("pure and never blocking", f"calls {OUTSIDE[call]}")


@pytest.mark.parametrize("place", ["ALL", "self.ALL"])
def test_memory_of_the_class_and_the_module_counts(place: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "import time\nALL = []\nclass Broken:\n    ALL = []\n    def wait_s(self, attempt, rng):\n"
        f"        {place}.append((attempt, time.gmtime(0)))\n        return 0.5 if attempt.number < 3 else None\n"
    )

    assert examine(KINDS["retry"], "broken:Broken", {}).broken == "bounded"


def test_a_part_that_gives_other_answers_the_second_time_is_refused(tmp_path: Path) -> None:
    text = "from random import Random\nCHANCE = Random()\nclass Broken:\n    def wait_s(self, attempt, rng):\n"
    (tmp_path / "broken.py").write_text(text + "        return CHANCE.random() if attempt.number < 3 else None\n")

    assert examine(KINDS["retry"], "broken:Broken", {}).broken in ("deterministic", "bounded")


def test_a_part_that_does_not_come_back_is_refused(tmp_path: Path) -> None:
    text = "class Broken:\n    def wait_s(self, attempt, rng):\n        while True:\n            pass\n"
    (tmp_path / "broken.py").write_text(text)

    assert examine(KINDS["retry"], "broken:Broken", {}, cpu_max_s=0.2).broken == "never blocking"


def test_a_class_of_no_kind_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("class Broken:\n    def wait(self): ...\n")

    with pytest.raises(PartError, match="broken:Broken: is no retry: has no wait_s; is no budget: has no on_request"):
        kind_of("broken:Broken")


SHIPPED = {
    "services.policies.backoff:Backoff": "",
    "services.policies.retry_budget:FinagleBudget": "",
    "services.policies.retry_budget:EnvoyBudget": "",
    "services.policies.retry_budget:GrpcThrottle": "",
    "services.policies.retry_budget:UnlimitedBudget": "bounded",
    "services.policies.admission:EnvoyAdmission": "",
    "services.policies.adaptive_limit:Gradient2Limit": "",
    "services.policies.token_cache:TokenCache": "",
    "services.policies.queue_discipline:AdaptiveLifo": "",
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_rules_fit_what_ships(name: str) -> None:
    """They are no stricter than the mechanisms that other programs have, and no budget is none."""
    assert examine(kind_of(name), name, {}).broken == SHIPPED[name]
