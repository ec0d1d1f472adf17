"""What a scenario expects of its run: the models of `expect`.

An expectation holds if all its conditions hold. A condition compares one signal, reduced over a window, with a bound;
with `before` it also requires an order. docs/scenarios.md explains the fields; `expect_checks.py` has the rules that
need the whole scenario.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from chaos.scenarios.actions import RegionName
from chaos.scenarios.moments import MomentText, parts
from chaos.scenarios.signals import DEFAULT_OVER_S, SIGNALS, Reduction, SignalSpec

ClaimSetName = Literal["fnj8-vqz"]
CLAIM_SETS: tuple[ClaimSetName, ...] = get_args(ClaimSetName)
LOWER, UPPER = ("at_least", "above"), ("at_most", "below")
COMPARISONS = (*LOWER, *UPPER)
SIGNS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
OWN = ("id", "says", "from", "to", "needs", "all")
OVER_MAX_S = 86_400.0

ExpectationId = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,15}$")]
MeasuredName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


def _as_list(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else [given]


def _is_moment(given: Any) -> Any:
    if isinstance(given, str):
        parts(given)
    elif isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError("should be a moment such as T09+2s, or a number of bench seconds")
    return given


ExpectedMoment = Annotated[MomentText, BeforeValidator(_is_moment)]
Choice = Annotated[tuple[ExpectedMoment, ...], BeforeValidator(_as_list), Field(min_length=1, max_length=5)]
"""One moment, or several: the first that the plan of a run has."""


def _is_number(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("should be a number")
    return given


Bound = Annotated[float, BeforeValidator(_is_number), Field(allow_inf_nan=False)]


class _ExpectPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class SignalLabels(_ExpectPart):
    """Which part of a signal is meant; without labels all of it."""

    region: RegionName | None = None
    regions: Annotated[tuple[RegionName, ...], Field(min_length=1)] | None = None
    tenant: str | None = None
    alert: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "SignalLabels":
        if self.region is not None and self.regions is not None:
            raise ValueError("has both 'region' and 'regions'")
        return self

    @property
    def where(self) -> dict[str, str | tuple[str, ...]]:
        """The labels as a filter of series and events."""
        region = self.regions if self.regions is not None else self.region
        named = {"region": region, "tenant": self.tenant, "alert": self.alert}
        return {label: value for label, value in named.items() if value is not None}

    @property
    def named_regions(self) -> tuple[str, ...]:
        return self.regions or ((self.region,) if self.region else ())


class ExpectedCondition(SignalLabels):
    """One comparison. Omitted `from` and `to` are those of the expectation, or the whole run without its warm-up."""

    name: MeasuredName | None = None
    signal: str
    from_: Choice | None = Field(default=None, alias="from")
    to: Choice | None = None
    how: Reduction | None = None
    over_s: Annotated[float, Field(gt=0, le=OVER_MAX_S)] | None = None
    at_most: Bound | None = None
    at_least: Bound | None = None
    below: Bound | None = None
    above: Bound | None = None
    before: ExpectationId | SignalLabels | None = None
    shown: bool = False
    """The value is shown beside the others and not judged."""

    @field_validator("signal")
    @classmethod
    def _is_known(cls, signal: str) -> str:
        if signal not in SIGNALS:
            raise ValueError(f"unknown signal; known: {', '.join(SIGNALS)}")
        return signal

    @property
    def spec(self) -> SignalSpec:
        return SIGNALS[self.signal]

    @property
    def reduction(self) -> Reduction:
        return self.how or self.spec.reductions[0]

    @property
    def sample_s(self) -> float:
        """The seconds before a sample over which it is taken."""
        return DEFAULT_OVER_S[self.spec.kind] if self.over_s is None else self.over_s

    @property
    def bounds(self) -> dict[str, float]:
        given = {name: getattr(self, name) for name in COMPARISONS}
        return {name: bound for name, bound in given.items() if bound is not None}

    def elsewhere(self, labels: SignalLabels) -> "ExpectedCondition":
        """The same condition with these labels. Regions are replaced together, whichever form they have."""
        given: dict[str, Any] = {name: getattr(labels, name) for name in labels.where}
        if "region" in given:
            given |= {"region": labels.region, "regions": labels.regions}
        return self.model_copy(update=given)

    def sized(self, size: float) -> "ExpectedCondition":
        """The condition at a size: a bound on what grows with the size grows too."""
        return self.model_copy(update={name: bound * size for name, bound in self.bounds.items() if self.spec.scales})

    @property
    def key(self) -> str:
        """The name of the measured value: given, or from the signal and its labels."""
        label = self.tenant or self.alert or self.region or ""
        how = "" if self.reduction == self.spec.reductions[0] else self.reduction
        return self.name or "_".join(part.lower().replace("-", "_") for part in (self.signal, label, how) if part)


class Expectation(_ExpectPart):
    """A statement about the run. In the file a single condition stands next to `id`, several are a list `all`."""

    id: ExpectationId
    says: Annotated[str, Field(min_length=1, max_length=200)]
    from_: Choice | None = Field(default=None, alias="from")
    to: Choice | None = None
    needs: tuple[str, ...] = ()
    """Entries without which the expectation is not judged, although its window does not name them."""
    all: Annotated[tuple[ExpectedCondition, ...], Field(min_length=1, max_length=20)]

    @model_validator(mode="before")
    @classmethod
    def _gather_condition(cls, given: Any) -> Any:
        """Moves the fields of a single condition to a list of one."""
        if not isinstance(given, dict) or "all" in given:
            return given
        own = {key: value for key, value in given.items() if key in OWN}
        return {**own, "all": [{key: value for key, value in given.items() if key not in OWN}]}

    def begin(self, condition: ExpectedCondition) -> tuple[MomentText, ...]:
        return condition.from_ or self.from_ or (0.0,)

    def end(self, condition: ExpectedCondition) -> tuple[MomentText, ...]:
        return condition.to or self.to or ("end",)

    @property
    def named_regions(self) -> set[str]:
        return {region for labels in self.labels() for region in labels.named_regions}

    def labels(self) -> Iterable[SignalLabels]:
        for condition in self.all:
            yield condition
            if isinstance(condition.before, SignalLabels):
                yield condition.before

    def sized(self, size: float) -> "Expectation":
        """The expectation, whose bounds are those of size 1, at this size."""
        return self.model_copy(update={"all": tuple(condition.sized(size) for condition in self.all)})

    def document(self) -> dict[str, Any]:
        """The expectation in `plan.json`."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def parse_expectations(documents: Iterable[Any]) -> tuple[Expectation, ...]:
    return tuple(Expectation.model_validate(document) for document in documents)
