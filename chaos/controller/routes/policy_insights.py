"""The policy job through the API of Azure Policy: remediations of Microsoft.PolicyInsights.

A remediation runs once, unlike the periodic job of `/v1/remediation`. There is one policy and one job, so a second
remediation is refused while one is running. A `failureThreshold` applies to the remediation's own failed deployments.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import RemediationList, RemediationResource
from chaos.controller.testbed import Testbed
from chaos.remediation.settings import POLICY, RemediationSettings
from chaos.remediation.workflow import UNDER_WAY, RemediationWorkflow
from services.chassis.arm import MISSING_API_VERSION
from services.chassis.bodies import parse, read_json
from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.routes import Body, ResponseSpec, Route
from services.chassis.settings import Settings, SettingsError, Tree, merge, validate

TYPE = "Microsoft.PolicyInsights/remediations"
SCOPES = {
    "subscription": "/subscriptions/{subscription}",
    "resource_group": "/subscriptions/{subscription}/resourceGroups/{resource_group}",
    "management_group": "/providers/{namespace}/managementGroups/{management_group}",
}
ONCE_S = 1e9
BUSY = "a remediation is running and cannot be changed or deleted; cancel it first"
REMEDIATIONS_MAX = 100

INVALID = ErrorSpec("InvalidCreateRemediationRequest", 400, "{detail}")
INVALID_CANCEL = ErrorSpec(
    "InvalidCancelRemediationRequest", 400, "The remediation '{name}' cannot be canceled: it is in state '{state}'."
)
NOT_FOUND = ErrorSpec("RemediationNotFound", 404, "The remediation '{name}' was not found.")
UNKNOWN = (MISSING_API_VERSION, NOT_FOUND)
FOUND = (RemediationResource, "the remediation")
EVERY = f"/providers/{TYPE}"
ONE = f"{EVERY}/{{name}}"
"""Below a scope."""


class ApiVersion(Settings):
    """The query of every Azure Resource Manager call; without it ARM's 400 is returned."""

    api_version: str = Field(alias="api-version", description="the version of the API; any value is accepted")

    @model_validator(mode="before")
    @classmethod
    def _is_there(cls, given: Any) -> Any:
        if not given.get("api-version"):
            raise ServiceError(MISSING_API_VERSION)
        return given


class Filters(BaseModel):
    locations: list[str] | None = None


class Threshold(BaseModel):
    percentage: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class RemediationRequest(BaseModel):
    """The properties that a caller can set."""

    policyAssignmentId: str
    policyDefinitionReferenceId: str | None = None
    resourceDiscoveryMode: Literal["ExistingNonCompliant", "ReEvaluateCompliance"] | None = None
    filters: Filters | None = None
    resourceCount: int | None = None
    parallelDeployments: int | None = None
    failureThreshold: Threshold | None = None


class RemediationBody(BaseModel):
    properties: RemediationRequest


@dataclass(frozen=True)
class _Remediation:
    """The requested properties and the job that carries them out."""

    id: str
    given: dict[str, Any]
    job: RemediationWorkflow

    @property
    def state(self) -> str:
        return str(self.job.status()["provisioningState"])

    def view(self) -> dict[str, Any]:
        properties = {**self.job.status(), **self.given}
        return {"id": self.id, "name": self.id.rsplit("/", 1)[1], "type": TYPE, "properties": properties}


class PolicyInsights(Calls):
    """The remediations created through this API, in memory: they are lost with the controller."""

    tag = "policy insights"

    def __init__(self, testbed: Testbed) -> None:
        super().__init__(testbed)
        self._remediations: dict[str, _Remediation] = {}
        self._creating = asyncio.Lock()

    def routes(self) -> list[Route]:
        """The calls in every scope."""
        declared = super().routes()
        return [
            replace(row, path=scope + row.path, operation_id=f"{row.operation_id}_at_{level}")
            for level, scope in SCOPES.items()
            for row in declared
        ]

    @served(
        f"PUT {ONE}",
        "Create a remediation of the policy",
        RemediationResource,
        "created",
        status=201,
        also={200: ResponseSpec("unchanged", RemediationResource)},
        errors=(*UNKNOWN, INVALID),
        body=Body(RemediationBody, by_handler=True),
        query=ApiVersion,
    )
    async def create_remediation(self, call: Call) -> ControllerAnswer:
        given = await _given(call)
        async with self._creating:  # two identical concurrent requests create one remediation
            return await self._create(_id(call), given)

    async def _create(self, id_: str, given: dict[str, Any]) -> ControllerAnswer:
        before = self._remediations.get(id_.lower())
        running = before is not None and before.state in UNDER_WAY
        if before is not None and running and before.given == given:
            return 200, before.view()
        current = self._testbed.remediation
        if current is not None and current.under_way:
            raise ServiceError(errors.CONFLICT, detail=BUSY)
        regions = _locations(given, self._testbed.regions)
        settings = self._settings(given, regions)
        job = await self._testbed.start_remediation(settings, regions)
        self._testbed.acted("start_remediation", remediation=id_, properties=given)
        made = _Remediation(id_, given, job)
        self._remediations[id_.lower()] = made
        self._forget_oldest()
        return 201 if before is None else 200, made.view()

    def _forget_oldest(self) -> None:
        """Removes the oldest finished remediation beyond `REMEDIATIONS_MAX`; at most one is running."""
        while len(self._remediations) > REMEDIATIONS_MAX:
            key = next(key for key, item in self._remediations.items() if item.state not in UNDER_WAY)
            gone = self._remediations.pop(key)
            self._testbed.events.emit("remediation_forgotten", remediation=gone.id, kept_max=REMEDIATIONS_MAX)

    def _settings(self, given: Mapping[str, Any], regions: Sequence[str]) -> RemediationSettings:
        """The settings of the incident's job with the changes of this request."""
        changes: Tree = {"period_s": ONCE_S}
        if "resourceCount" in given:
            changes["resource_count"] = given["resourceCount"]
        if "parallelDeployments" in given:
            changes["parallel"] = given["parallelDeployments"]
        if "failureThreshold" in given:
            ratio = given["failureThreshold"]["percentage"]
            changes["gate"] = {"variant": "own_success", "failure_threshold_ratio": ratio}
        incident = self._testbed.scenario.remediation.model_dump(mode="json", exclude_unset=True)
        try:
            settings = validate(RemediationSettings, merge(incident, changes), "properties")
        except SettingsError as error:
            raise ServiceError(INVALID, detail=str(error)) from error
        return settings.model_copy(update={"order": tuple(name for name in settings.order if name in regions)})

    @served(f"GET {ONE}", "A remediation and its progress", *FOUND, errors=UNKNOWN, query=ApiVersion)
    async def get_remediation(self, call: Call) -> ControllerAnswer:
        return 200, self._find(call).view()

    @served(f"DELETE {ONE}", "Delete a finished remediation", *FOUND, errors=UNKNOWN, query=ApiVersion)
    async def delete_remediation(self, call: Call) -> ControllerAnswer:
        found = self._find(call)
        if found.state in UNDER_WAY:
            raise ServiceError(errors.CONFLICT, detail=BUSY)
        del self._remediations[found.id.lower()]
        return 200, found.view()

    @served(f"POST {ONE}/cancel", "Stop a remediation", *FOUND, errors=(*UNKNOWN, INVALID_CANCEL), query=ApiVersion)
    async def stop_remediation(self, call: Call) -> ControllerAnswer:
        found = self._find(call)
        if found.state not in UNDER_WAY:
            raise ServiceError(INVALID_CANCEL, name=call.path("name"), state=found.state)
        await found.job.cancel()
        self._testbed.acted("cancel_remediation", remediation=found.id)
        return 200, found.view()

    @served(
        f"GET {EVERY}",
        "The remediations of a scope and of all scopes below it",
        RemediationList,
        "by id",
        errors=(MISSING_API_VERSION,),
        query=ApiVersion,
    )
    async def list_remediations(self, call: Call) -> ControllerAnswer:
        prefix = _id(call).lower()
        found = [item.view() for key, item in sorted(self._remediations.items()) if key.startswith(prefix)]
        return 200, {"value": found}

    def _find(self, call: Call) -> _Remediation:
        found = self._remediations.get(_id(call).lower())
        if found is None:
            raise ServiceError(NOT_FOUND, name=call.path("name"))
        return found


def _id(call: Call) -> str:
    """The resource id as spelled in the path; for a list, the scope.

    A list covers the scope and all scopes below it, so its prefix ends before the provider's name.
    """
    path = call.request.path.removesuffix("/cancel") if call.request.method == "POST" else call.request.path
    if "name" in call.request.match_info:
        return path
    return path.removesuffix(f"providers/{TYPE}")


async def _given(call: Call) -> dict[str, Any]:
    """The properties set by the caller; read-only and unknown properties are ignored, as in Azure."""
    body = await read_json(call.request)
    try:
        given = parse(RemediationBody, body).properties.model_dump(exclude_none=True)
    except SettingsError as error:
        raise ServiceError(INVALID, target="properties", detail=str(error)) from error
    if given["policyAssignmentId"].rsplit("/", 1)[-1].lower() != POLICY:
        detail = f"'policyAssignmentId' must end in '/policyAssignments/{POLICY}', the one policy here."
        raise ServiceError(INVALID, target="properties.policyAssignmentId", detail=detail)
    return {name: value for name, value in given.items() if value != {}}


def _locations(given: Mapping[str, Any], known: Sequence[str]) -> Sequence[str]:
    """The regions of `filters.locations`; all regions if it is not given."""
    wanted = given.get("filters", {}).get("locations")
    if wanted is None:
        return known
    names = [name.replace(" ", "").lower() for name in wanted]
    unknown = [name for name in names if name not in known]
    if not names or unknown:
        detail = f"'filters.locations' must be a list of regions; known: {', '.join(known)}."
        raise ServiceError(INVALID, target="properties.filters.locations", detail=detail)
    return names
