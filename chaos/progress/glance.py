"""The key figures of a run or an idle testbed at one time.

There are two success ratios, because they fail at different times: provisioning (attempts of jobs) in the first wave of
the incident, identity (attempts to get a token) in the second. Progress lines, live view and console all use this
module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chaos.experiment.signals import DONE
from chaos.record.formulas import WAITING
from chaos.record.metric_names import ATTEMPTS, JOBS, NODE_UP, STARTED, TRIES, WORK
from chaos.record.series import Group, Samples

WINDOW_S = 5.0
PROVISIONING_WINDOW_S = 10.0
"""Control regions start a job every three seconds: a shorter window would often have none."""
FAMILIES = (TRIES, ATTEMPTS, STARTED, WORK, JOBS, NODE_UP)


@dataclass(frozen=True)
class Success:
    """Success ratios over the last seconds; None without attempts."""

    provisioning: float | None
    identity: float | None


@dataclass(frozen=True)
class Glance:
    """The key figures at τ = `t`. `asked` are operations started by callers, `offered` their attempts, `good` and
    `wasted` the work that nodes finished before and after the caller's timeout."""

    t: float
    total: Success
    regions: Mapping[str, Success]
    asked_per_s: float
    offered_per_s: float
    good_per_s: float
    wasted_per_s: float
    backlog: int
    nodes_up: int

    @property
    def amplification(self) -> float | None:
        """Attempts per operation started; None without operations."""
        return self.offered_per_s / self.asked_per_s if self.asked_per_s else None

    def document(self) -> dict[str, Any]:
        """The document for the API, rounded to three decimals."""
        return {**_rounded(asdict(self)), "amplification": _rounded(self.amplification)}


def glance(samples: Samples, regions: Sequence[str], t: float) -> Glance:
    """The key figures at `t`; includes every region, also those without attempts."""
    tries = samples.increase(TRIES, {}, t - PROVISIONING_WINDOW_S, t, by=("region", "result"))
    attempts = samples.increase(ATTEMPTS, {"layer": "sdk"}, t - WINDOW_S, t, by=("region", "outcome"))
    work = samples.increase(WORK, {}, t - WINDOW_S, t, by=("outcome",))
    return Glance(
        t=t,
        total=Success(_share(tries, DONE), _share(attempts, "ok")),
        regions={name: Success(_share(_of(tries, name), DONE), _share(_of(attempts, name), "ok")) for name in regions},
        asked_per_s=_sum(samples.increase(STARTED, {}, t - WINDOW_S, t, by=())) / WINDOW_S,
        offered_per_s=_sum(attempts) / WINDOW_S,
        good_per_s=work.get(("useful",), 0.0) / WINDOW_S,
        wasted_per_s=work.get(("wasted",), 0.0) / WINDOW_S,
        backlog=int(_sum(samples.last(JOBS, {"state": WAITING}, by=()))),
        nodes_up=int(_sum(samples.last(NODE_UP, {}, by=()))),
    )


def _of(counts: Mapping[Group, float], region: str) -> dict[Group, float]:
    return {group: value for group, value in counts.items() if group[0] == region}


def _sum(counts: Mapping[Group, float]) -> float:
    return sum(counts.values())


def _share(counts: Mapping[Group, float], good: str) -> float | None:
    total = _sum(counts)
    return sum(value for group, value in counts.items() if group[-1] == good) / total if total else None


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 3) if isinstance(value, float) else value
