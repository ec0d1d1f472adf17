"""The shape of a campaign file: what the pages made from it rely on, checked where it is read."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chaos.scenarios.expect import ClaimSetName
from services.chassis.settings import explain


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Other(_Strict):
    seed: int
    status: str
    note: str


class _Example(_Other):
    measured: dict[str, Any]


class _Row(_Strict):
    id: str
    counts: dict[str, int]
    runs: int
    holds: bool
    example: _Example | None
    others: list[_Other]


class _Expected(_Row):
    says: str
    predicate: str


class _Control(_Strict):
    name: str
    runs: int
    holds: int


class _Campaign(_Strict):
    scenario: str
    size: float
    claims: ClaimSetName | None
    commit: str
    seeds: list[int]
    expected: list[_Expected]
    rows: list[_Row]
    controls: list[_Control]


def why_no_campaign(document: Any) -> str:
    """What is wrong with the document, with field and rule; empty if nothing is."""
    try:
        _Campaign.model_validate(document)
    except ValidationError as error:
        return explain(error)
    return ""
