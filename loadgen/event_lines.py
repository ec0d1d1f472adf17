"""Event lines as processes write them to the store, parsed for the recorder."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, model_validator

from services.chassis.stored import StoredShape

ARRIVAL = "arrival"


class _Line(BaseModel):
    """An event line as processes write it."""

    model_config = ConfigDict(extra="allow")

    at: float
    source: str
    kind: str

    @model_validator(mode="after")
    def _arrival_is_whole(self) -> "_Line":
        if self.kind == ARRIVAL:
            _ARRIVAL.check(self.model_extra)
        return self


@dataclass(frozen=True)
class _ArrivalFields:
    tenant: str
    region: str
    planned_at: float
    actual_at: float | None = None


LINE: StoredShape[_Line] = StoredShape(_Line)
_ARRIVAL: StoredShape[_ArrivalFields] = StoredShape(_ArrivalFields)
