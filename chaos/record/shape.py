"""The shape of a plan on disk: what every reader of a record relies on, checked where it is read."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from chaos.record.files import NotWhole
from chaos.remediation.settings import RemediationSettings
from chaos.scenarios.expect import ClaimSetName, Expectation
from chaos.scenarios.model import YEARS
from loadgen.settings import LoadgenSettings
from services.chassis.settings import check_shape, explain, section, validate
from services.clients.identity.client import IdentityClientSettings
from services.identity.settings import IdentitySettings

LONGEST_S = 1e6


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not YEARS[0] <= moment.year <= YEARS[1]:
        raise ValueError(f"should be a time of the years {YEARS[0]} to {YEARS[1]}, with its zone")
    return text


def _settings(tree: dict[str, Any]) -> dict[str, Any]:
    """The settings that a judgement reads have their types; the others are those of the version that wrote them."""
    check_shape(tree)
    for model, service, names in READ_SETTINGS:
        for region in ("", *tree.get("regions", ())):
            found = section(tree, service, region)
            validate(model, {name: found[name] for name in names if name in found}, service)
    return tree


READ_SETTINGS: tuple[tuple[type[BaseModel], str, tuple[str, ...]], ...] = (
    (IdentitySettings, "identity", ("service_time_s",)),
    (IdentityClientSettings, "identity_client", ("timeout_s",)),
    (LoadgenSettings, "loadgen", ("runner_wait_s",)),
    (RemediationSettings, "remediation", ("gate", "inventory")),
)

RunSeconds = Annotated[float, Field(ge=0, le=LONGEST_S)]


class PlannedRegionShape(BaseModel):
    """A region of the run."""

    name: str
    display: str
    pair: str | None = None
    role: str = ""


class EntryShape(BaseModel):
    """An entry of the timeline."""

    model_config = ConfigDict(allow_inf_nan=False)

    id: str
    t: float = Field(ge=-LONGEST_S, le=LONGEST_S)
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
    detection_pace: float = Field(default=1.0, gt=0)
    runtime: str = ""
    warmup_s: RunSeconds = 0.0
    duration_s: RunSeconds = 0.0
    starts_at: Annotated[str, AfterValidator(_moment)]
    settings: Annotated[dict[str, Any], AfterValidator(_settings)] = {}
    regions: list[PlannedRegionShape] = []
    timeline: list[EntryShape] = []
    expect: list[Expectation] = []
    claims: ClaimSetName | None = None
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
