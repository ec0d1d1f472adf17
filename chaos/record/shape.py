"""The shape of a plan on disk: what every reader of a record relies on, checked where it is read."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from chaos.record.files import NotWhole
from services.chassis.settings import explain

LONGEST_S = 1e6


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


RunSeconds = Annotated[float, Field(ge=0, le=LONGEST_S)]


class EntryShape(BaseModel):
    """An entry of the timeline."""

    model_config = ConfigDict(allow_inf_nan=False)

    id: str
    t: float
    action: str
    parameters: dict[str, Any] = {}


class PlanShape(BaseModel):
    """A plan; what a reader does not need may be missing, and more may be there."""

    model_config = ConfigDict(allow_inf_nan=False)

    scenario: str
    title: str = ""
    source: str = ""
    command: str = ""
    seed: int = 0
    size: float = Field(default=1.0, gt=0)
    runtime: str = ""
    warmup_s: RunSeconds = 0.0
    duration_s: RunSeconds = 0.0
    starts_at: Annotated[str, AfterValidator(_moment)] = ""
    settings: dict[str, Any] = {}
    regions: list[dict[str, Any]] = []
    timeline: list[EntryShape] = []
    expect: list[dict[str, Any]] = []
    claims: str | None = None
    mitigations: list[str] = []


def check_plan(plan: object, path: Path) -> dict[str, Any]:
    """The plan.

    Raises:
        NotWhole: it has another shape; the message names file, field and rule.
    """
    if not isinstance(plan, dict) or "scenario" not in plan:
        raise NotWhole(f"{path}:1: not a plan: no `scenario` in it")
    try:
        PlanShape.model_validate(plan)
    except ValidationError as error:
        raise NotWhole(f"{path}: not a plan: {explain(error)}") from error
    return plan
