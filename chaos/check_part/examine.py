"""One examination of a part, in this process."""

import hashlib
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from random import Random
from typing import Any

from chaos.check_part.awaited import action, journey
from chaos.check_part.drives import DRIVES, Unbounded
from chaos.check_part.fence import Fence, ForbiddenCall, fence_for
from chaos.faults.desk import ACTION
from chaos.remediation.gate_model import GATE
from compose.virtual.kernel.errors import LeftTheSimulation
from loadgen.journeys.own import JOURNEY
from services.chassis.faults import FAULT
from services.parts.kind import PartError, PartKind
from services.parts.loading import build, find
from services.policies.adaptive_limit import LIMIT
from services.policies.admission import ADMISSION
from services.policies.failover import FAILOVER
from services.policies.queue_discipline import QUEUE
from services.policies.retry import RETRY
from services.policies.retry_budget import BUDGET
from services.policies.token_cache import TOKEN_CACHE

EVERY_KIND = (
    RETRY,
    BUDGET,
    ADMISSION,
    QUEUE,
    LIMIT,
    FAILOVER,
    TOKEN_CACHE,
    GATE,
    FAULT,
    ACTION,
    JOURNEY,
)
AWAITED = {"action": action, "journey": journey}
OURS = ("services", "loadgen", "compose", "chaos")
CPU_MAX_S = 20.0
SEED = 1
FORBIDDEN = "pure and never blocking"


class Endless(BaseException):
    """The part has used its CPU time. No Exception, so that the part's own handlers do not catch it."""


@dataclass(frozen=True)
class Examined:
    """`broken` is the rule that the part breaks, empty if none; `trace` the SHA-256 of its decisions.

    `refused` says why it could not be examined.
    """

    broken: str = ""
    why: str = ""
    trace: str = ""
    refused: str = ""


def kind_of(name: str) -> PartKind:
    """The kind whose protocol the class has; of several the one with the most members.

    Raises:
        PartError: it has that of none.
    """
    lacking: list[str] = []
    fitting: list[PartKind] = []
    for kind in EVERY_KIND:
        try:
            find(kind, name)
            fitting.append(kind)
        except PartError as error:
            lacking.append(str(error).removeprefix(f"{name}: "))
    if not fitting:
        raise PartError(f"{name}: {'; '.join(dict.fromkeys(lacking))}")
    return max(fitting, key=lambda kind: len(vars(kind.protocol)))


def examine(kind: PartKind, name: str, options: Mapping[str, Any], cpu_max_s: float = CPU_MAX_S) -> Examined:
    """Drives the part twice.

    Raises:
        PartError: it cannot be imported or built.
    """
    module = name.partition(":")[0] if ":" in name else ""
    with fence_for(module.partition(".")[0]) as fence:
        try:
            found = _examined(fence, kind, name, options, cpu_max_s)
        except PartError:
            if not fence.broken:
                raise
        return Examined(FORBIDDEN, fence.broken) if fence.broken else found


def _examined(fence: Fence, kind: PartKind, name: str, options: Mapping[str, Any], cpu_max_s: float) -> Examined:
    """What the drives find. A refused call is reported by the fence, also if the part caught the error."""
    try:
        with _cpu_time(cpu_max_s):
            traces = [_drive(fence, kind, name, options) for _ in range(2)]
    except Endless:
        return Examined("never blocking", f"did not come back within {cpu_max_s:g} s of CPU time")
    except (ForbiddenCall, LeftTheSimulation) as error:
        return Examined(FORBIDDEN, str(error))
    except Unbounded as error:
        return Examined("bounded", str(error))
    except PartError as error:
        if isinstance(error.__cause__, LeftTheSimulation):  # of a constructor
            return Examined(FORBIDDEN, str(error.__cause__))
        raise
    except (Exception, SystemExit) as error:  # the part's own code may raise anything
        return Examined("works", f"raises {type(error).__name__}: {error}")
    if traces[0] != traces[1]:
        return Examined("deterministic", "the same calls got other answers the second time")
    return Examined(trace=traces[0])


def _drive(fence: Fence, kind: PartKind, name: str, options: Mapping[str, Any]) -> str:
    _forget(name)
    find(kind, name)  # imported before the fence is up: modules may read files then
    awaited = AWAITED.get(kind.name)
    drive = awaited or DRIVES[kind.name]
    with fence.at_work(own_calls=awaited is not None):
        trace = drive(partial(build, kind, name, options), Random(SEED))
    return hashlib.sha256(repr(trace).encode()).hexdigest()


def _forget(name: str) -> None:
    """Forgets the part's modules, so that they are imported inside the fence and with nothing left of before."""
    package = name.partition(":")[0].partition(".")[0]
    if package not in OURS:
        for module in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
            del sys.modules[module]


@contextmanager
def _cpu_time(most_s: float) -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise Endless

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def main(name: str, kind: str, options: str) -> None:
    """`python -m chaos.check_part.examine NAME KIND OPTIONS`: prints what was found, as JSON and nothing else."""
    out, sys.stdout = sys.stdout, sys.stderr  # for good: the part may also print when the process ends
    chosen = {one.name: one for one in EVERY_KIND}[kind]
    try:
        found = examine(chosen, name, json.loads(options))
    except PartError as error:
        found = Examined(refused=str(error))
    print(json.dumps(asdict(found)), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
