"""Pure rules of the router: the operator's admission into a region, and the region of a request.

A drained or ramping region is never a failover target: retries from its pair would undo the repair. At home a ramp
limits the *rate*; requests above it are shed, not failed over.
"""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from services.chassis.stored import StoredShape
from services.policies.admission import AdmissionRamp, FreshBeforeBacklog, TokenBucket

TrafficMode = Literal["open", "drain", "ramp"]
BURST_S = 1.0  # a ramp's bucket holds one second of its current rate, so the end of a drain is not a spike


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic rule of one region. A ramp starts at `since_epoch_s`; its fractions are of `capacity_per_s`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    mode: TrafficMode = "open"
    since_epoch_s: float = 0.0
    capacity_per_s: Annotated[float, Field(ge=0)] = 0.0
    from_fraction: Annotated[float, Field(ge=0)] = 0.10
    to_fraction: Annotated[float, Field(gt=0)] = 0.85
    over_s: Annotated[float, Field(gt=0)] = 80.0
    hold_s: Annotated[float, Field(ge=0)] = 20.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def ramp(self) -> AdmissionRamp:
        return AdmissionRamp(
            start=self.since_epoch_s,
            nominal_per_s=self.capacity_per_s,
            from_fraction=self.from_fraction,
            to_fraction=self.to_fraction,
            duration_s=self.over_s,
            hold_s=self.hold_s,
        )


class RegionAdmission:
    """Admission into one region under the operator's current rule.

    `reserve`: tokens of a ramp's bucket that are reserved for fresh requests.
    """

    def __init__(self, traffic: Traffic, reserve: float = 0.0) -> None:
        self.traffic = traffic
        self.reserve = reserve
        self._ramp = traffic.ramp()
        self._bucket = TokenBucket(0.0, 0.0, now=traffic.since_epoch_s)

    def is_open(self, now_epoch_s: float) -> bool:
        """Whether there is no limit; also true after a ramp has ended."""
        mode = self.traffic.mode
        return mode == "open" or (mode == "ramp" and now_epoch_s >= self._ramp.open_at)

    def limit_per_s(self, now_epoch_s: float) -> float:
        """Requests per second admitted now; infinite when open."""
        if self.traffic.mode == "drain":
            return 0.0
        return float("inf") if self.is_open(now_epoch_s) else self._ramp.rate_at(now_epoch_s)

    def admit(self, now_epoch_s: float, *, is_backlog: bool = False) -> bool:
        if self.is_open(now_epoch_s):
            return True
        if self.traffic.mode == "drain":
            return False
        rate = self._ramp.rate_at(now_epoch_s)
        self._bucket.set_rate(rate, now_epoch_s, burst=max(1.0, rate * BURST_S))
        return FreshBeforeBacklog(self._bucket, self.reserve).take(now_epoch_s, is_backlog=is_backlog)

    def __repr__(self) -> str:
        return f"<RegionAdmission {self.traffic.mode}, {self._bucket!r}>"


OPEN = Traffic()
TRAFFIC: StoredShape[Traffic] = StoredShape(Traffic)
