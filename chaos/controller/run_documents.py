"""Response models of the controller for scenarios, runs, verdicts and comparisons, as in `documents`."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from chaos.verdict.model import ClaimStatus
from chaos.verdict.verdict import Outcome

JsonObject = dict[str, Any]


class ScenarioSummary(BaseModel):
    name: str
    title: str
    duration_s: float
    source: str


class ScenarioList(BaseModel):
    scenarios: list[ScenarioSummary]


class RunView(BaseModel):
    """The run in progress, or the last one."""

    id: str
    scenario: str
    seed: int
    size: float = Field(description="times the size of the model")
    mitigations: list[str]
    runtime: str = Field(description="virtual: separate from the testbed, in virtual time; otherwise on the testbed")
    state: Literal["starting", "running", "settling", "judging", "done", "failed", "aborted"]
    why: str
    duration_s: float
    zero_epoch_s: float
    now: JsonObject = Field(description="the last tick; empty before the first")


class RunSummary(BaseModel):
    id: str
    status: str = Field(description="status of its verdict, `not judged`, or `unreadable`")
    why: str = Field(default="", description="error of an unreadable record")


class RunList(BaseModel):
    runs: list[RunSummary]


class JudgedClaim(BaseModel):
    id: str
    status: ClaimStatus
    statement: str
    predicate: str
    measured: JsonObject
    window: list[float] | None
    kind: str
    source: str
    rests_on: str
    control: str
    note: str


class VerdictView(BaseModel):
    scenario: str
    seed: int
    size: float = Field(description="times the size of the model")
    runtime: str
    status: Outcome
    why: str
    figures: JsonObject
    claims: list[JudgedClaim] = Field(description="the expectations, then the claims of the claim set")
    claim_set: str = Field(description="the claim set that the scenario names; empty if it names none")
    expectations: list[str] = Field(description="ids of the `claims` that decide the status")


class ComparisonView(BaseModel):
    """Pairs are [left, right]."""

    same: bool
    left: Outcome
    right: Outcome
    plan: dict[str, list[Any]]
    figures: dict[str, list[Any]]
    claims: dict[str, list[ClaimStatus]]
