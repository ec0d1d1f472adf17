"""The tenant classes: one row of `tenants.yaml` per kind of consumer in the incident report and GitHub's.

A row holds the journey, its parameters and its share of a region's load. `window` is when the consumer was affected
according to the report; it is documentation and not used in a run.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadgen.journeys import JourneyParameters
from loadgen.journeys.own import OwnJourneyParameters
from loadgen.settings import OwnTenant
from loadgen.tenant_names import TENANTS_FILE, TenantError, choose
from services.chassis.settings import explain

SHARE_TOLERANCE = 1e-6

LoadUnit = Literal["jobs", "tokens"]


class Tenant(BaseModel):
    """One class of users."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    slug: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
    """The `tenant` label of every metric and event."""
    id: Annotated[str, Field(pattern=r"^(S(0[1-9]|1\d|2[0-2])|O10)$")]
    """Row of docs/conformance.md about this consumer; empty for a tenant of the user's own."""
    name: Annotated[str, Field(min_length=1)]
    window: Literal["A", "B", "A+B"]
    """When the report says it was hit. Selects the predicate of the claim; no run reads it."""
    load: LoadUnit
    """Whether `share` is of the region's job rate or of its token rate."""
    share: Annotated[float, Field(ge=0, le=1)]
    not_in: tuple[str, ...] = ()
    """Regions without this consumer; the others with the same kind of load take its share there, in proportion."""
    symptom: Annotated[str, Field(min_length=1)]
    """The error that this user sees; the `message` of its failed `operation` events."""
    journey: JourneyParameters


class TenantTable(BaseModel):
    """All tenant classes; the shares of each kind of load add up to one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[Tenant, ...]

    @model_validator(mode="after")
    def _consistent(self) -> "TenantTable":
        slugs = [tenant.slug for tenant in self.tenants]
        twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
        if twice:
            raise ValueError(f"slug: used twice: {', '.join(twice)}")
        for load in ("jobs", "tokens"):
            total = sum(tenant.share for tenant in self.tenants if tenant.load == load)
            if abs(total - 1.0) > SHARE_TOLERANCE:
                raise ValueError(f"share: the shares of load '{load}' add up to {total:g}, not to 1")
        return self

    def get(self, slug: str) -> Tenant:
        """The tenant called `slug`.

        Raises:
            TenantError: naming it and the known ones.
        """
        return self.select([slug])[0]

    def share_in(self, region: str, tenant: Tenant) -> float:
        """The tenant's share of its kind of load in a region where it is; own tenants come in addition."""
        alike = [other for other in self.tenants if other.load == tenant.load]
        here = [other for other in alike if region not in other.not_in]
        if len(here) == len(alike) or not tenant.id:
            return tenant.share
        return tenant.share * sum(other.share for other in alike) / (sum(other.share for other in here) or 1.0)

    def with_own(self, own: Iterable[OwnTenant]) -> "TenantTable":
        """The table with tenants of the user's own; their shares are in addition."""
        return self.model_copy(update={"tenants": (*self.tenants, *map(_own_tenant, own))})

    def select(self, slugs: Iterable[str] | None) -> tuple[Tenant, ...]:
        """The tenants called `slugs`, in table order; all for None.

        Raises:
            TenantError: naming what is unknown and what is known.
        """
        if slugs is None:
            return self.tenants
        wanted = choose(slugs, (tenant.slug for tenant in self.tenants))
        return tuple(tenant for tenant in self.tenants if tenant.slug in wanted)


def _own_tenant(own: OwnTenant) -> Tenant:
    journey = OwnJourneyParameters(kind="own", part=own.part, options=own.options)
    return Tenant.model_construct(
        slug=own.slug,
        id="",
        name=own.slug,
        window="A+B",
        load=own.load,
        share=own.share,
        symptom=own.symptom,
        not_in=(),
        journey=journey,
    )


def load_tenants(path: Path = TENANTS_FILE) -> TenantTable:
    """The table in `path`.

    Raises:
        TenantError: names the file and the line (YAML), or the tenant, the field and the rule.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TenantError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise TenantError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return TenantTable.model_validate(raw)
    except ValidationError as error:
        findings = _named(explain(error), raw).removeprefix(": ")  # an error about the whole table has no path
        raise TenantError(f"{path.name}: {findings}") from error


def _named(text: str, raw: Any) -> str:
    """Adds the slug to each `tenants.<number>`, because readers know names, not positions."""
    rows = raw.get("tenants") if isinstance(raw, dict) else None
    for number, row in reversed(list(enumerate(rows if isinstance(rows, list) else []))):
        slug = row.get("slug") if isinstance(row, dict) else None
        text = text.replace(f"tenants.{number}.", f"tenants.{number} ({slug}).")
    return text


@lru_cache(maxsize=1)
def default_table() -> TenantTable:
    """The table that ships with the testbed, read once."""
    return load_tenants()
