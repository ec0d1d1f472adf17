"""The schema of mitigations.yaml. Violations are reported when the file is loaded."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chaos.scenarios.actions import MitigationId
from services.chassis.settings import SettingPath, leaves
from services.policies.staging import RestoreOrder

MitigationKind = Literal["settings", "timeline", "topology"]
IDS: tuple[str, ...] = get_args(MitigationId)
TimelineRow = Annotated[str, StringConstraints(pattern=r"^[MT]\d\d$")]
TimelineRows = Annotated[tuple[TimelineRow, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Compress(_Part):
    """Entries of these rows move to `a + factor · (t − a)`, where a is the time of the first entry of `after`."""

    rows: TimelineRows
    after: TimelineRow
    factor: Annotated[float, Field(gt=0, le=1)]


class Follow(_Part):
    """Entries of these rows move by the same time as the first entry of `with`."""

    rows: TimelineRows
    with_: TimelineRow = Field(alias="with")


class Stage(_Part):
    """Restores of these rows are split by account family, `spacing_s` apart; `volumes` gives their load."""

    rows: TimelineRows
    spacing_s: Annotated[float, Field(gt=0)]
    order: RestoreOrder
    volumes: Annotated[dict[str, float], Field(min_length=1)]


class TimelineRules(_Part):
    """Changes of the timeline, applied in this order."""

    compress: Compress | None = None
    follow: Follow | None = None
    stage: Stage | None = None


class TopologyChange(_Part):
    """Changes of the initial topology."""

    headroom: Annotated[float, Field(gt=0, le=10)]
    """Additional identity nodes in every region, as a fraction of the scenario's."""


class Mitigation(_Part):
    """One mitigation."""

    id: MitigationId
    title: Annotated[str, Field(min_length=1, max_length=60)]
    source: Annotated[str, Field(min_length=1)]
    attacks: TimelineRows
    """Rows of the conformance table that it addresses."""
    changes: Annotated[str, Field(min_length=1)]
    overlay: dict[str, Any] = {}
    timeline: TimelineRules | None = None
    topology: TopologyChange | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "Mitigation":
        if not self.kinds:
            raise ValueError("needs an overlay, a timeline or a topology")
        return self

    @property
    def kinds(self) -> tuple[MitigationKind, ...]:
        parts: Mapping[MitigationKind, Any] = {
            "settings": self.overlay,
            "timeline": self.timeline,
            "topology": self.topology,
        }
        return tuple(kind for kind, part in parts.items() if part)


class OwnOverlay(_Part):
    """A file beside a scenario: settings of the user's own, as a mitigation with the name of the file."""

    title: Annotated[str, Field(min_length=1, max_length=60)] = "own settings"
    changes: Annotated[str, Field(min_length=1, max_length=500)] = "settings of the user's own"
    settings: Annotated[dict[str, Any], Field(min_length=1)]

    def mitigation(self, name: str, source: str) -> Mitigation:
        """It as a mitigation. Its id is none of the closed set, so it is not validated as one."""
        return Mitigation.model_construct(
            id=name,
            title=self.title,
            source=source,
            attacks=(),
            changes=self.changes,
            overlay=self.settings,
            timeline=None,
            topology=None,
        )


class Bundle(_Part):
    """A named set of mitigations."""

    title: Annotated[str, Field(min_length=1)]
    of: Annotated[tuple[MitigationId, ...], Field(min_length=1)]


class Catalogue(_Part):
    """The whole file."""

    mitigations: tuple[Mitigation, ...]
    bundles: dict[str, Bundle]

    @model_validator(mode="after")
    def _complete_and_consistent(self) -> "Catalogue":
        given = tuple(mitigation.id for mitigation in self.mitigations)
        if given != IDS:
            raise ValueError(f"mitigations: should be {', '.join(IDS)}, in this order (got {', '.join(given)})")
        owners: dict[SettingPath, tuple[str, Any]] = {}
        for mitigation in self.mitigations:
            for path, value in leaves(mitigation.overlay):
                owner, before = owners.setdefault(path, (mitigation.id, value))
                if before != value:
                    raise ValueError(f"{'.'.join(path)}: {owner} sets {before!r}, {mitigation.id} sets {value!r}")
        return self

    def get(self, id_: str) -> Mitigation:
        return self.mitigations[IDS.index(id_)]
