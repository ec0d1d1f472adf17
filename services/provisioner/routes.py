"""The routes of the API: Azure Resource Manager's calls for compute."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from services.chassis.arm import (
    API_VERSION,
    ARM_DIALECT,
    GROUP,
    INVALID_API_VERSION,
    LOCATION_NOT_AVAILABLE,
    MISSING_API_VERSION,
    RESOURCE_NOT_FOUND,
    SCOPE,
    SUBSCRIPTION,
)
from services.chassis.errors import ErrorSpec
from services.chassis.http import RETRY_AFTER
from services.chassis.openapi import Api
from services.chassis.routes import Body, BodyShape, Parameter, ResponseSpec, Route, named
from services.provisioner import errors
from services.provisioner.documents import (
    INSTANCE_VIEWS,
    REQUESTS,
    ComputeResource,
    ComputeResourceList,
    OperationStatus,
)
from services.provisioner.state import ACTIONS, EXTENSION, VM, VMSS

TITLE = "Aftershock provisioner (Microsoft.Compute)"
PROVIDER = "providers/Microsoft.Compute"
TYPES = {VM: ("virtualMachines", "virtual_machine"), VMSS: ("virtualMachineScaleSets", "scale_set")}
"""Kind → path segment, name in operation ids."""

RESOURCE_NAME: BodyShape = {"type": "string", "pattern": r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?$"}
SHAPES: Mapping[str, BodyShape] = {
    **SCOPE,
    "name": RESOURCE_NAME,
    "parent": RESOURCE_NAME,
    "extension": RESOURCE_NAME,
    "location": {"type": "string", "pattern": r"^[a-z0-9]+$"},
    "operation": {"type": "string", "pattern": r"^[0-9a-f-]{36}$"},
}
POLLING = {"Azure-AsyncOperation": "where to poll", RETRY_AFTER: "seconds between two polls"}
LOCATION = {**POLLING, "Location": "URL to poll by status code"}

EVERY = (MISSING_API_VERSION, INVALID_API_VERSION, errors.THROTTLED)
READ = (*EVERY, RESOURCE_NOT_FOUND, errors.PARENT_NOT_FOUND)
ACCEPTED = (*READ, errors.INVALID_PARAMETER, errors.CONFLICT, errors.CHANGE_NOT_ALLOWED, errors.STORE_UNAVAILABLE)
CHANGE = (
    *ACCEPTED,
    errors.INVALID_SUBSCRIPTION,
    errors.LOCATION_REQUIRED,
    LOCATION_NOT_AVAILABLE,
    errors.ARTIFACT_NOT_FOUND,
)

Wrap = Callable[[Any], Any]


def api(handlers: Any, arm: Wrap) -> Api:
    """The route table. `arm` wraps a handler in the steps of all Resource Manager calls."""
    table = _Table(handlers, arm)
    rows = [row for kind in TYPES for row in table.resource(kind)]
    return Api(TITLE, (*rows, *table.extensions(), table.operation()), lambda _route: ARM_DIALECT)


class _Table:
    """Builds the rows."""

    def __init__(self, handlers: Any, arm: Wrap) -> None:
        self._handlers = handlers
        self._arm = arm

    def resource(self, kind: str) -> list[Route]:
        """A machine or a scale set: the resource, its actions, and the lists."""
        word, label = TYPES[kind]
        every, everywhere = f"{GROUP}/{PROVIDER}/{word}", f"{SUBSCRIPTION}/{PROVIDER}/{word}"
        one = f"{every}/{{name}}"
        view = {200: ResponseSpec("how far it got", INSTANCE_VIEWS[label])}
        rows = self._crud(kind, one, label)
        rows.append(self._row("GET", f"{one}/instanceView", f"get_{label}_instance_view", "instance_view", kind, view))
        rows += [self._action(kind, one, label, action) for action in ACTIONS]
        rows.append(self._list(every, f"list_{label}s_of_group", kind))
        rows.append(self._list(everywhere, f"list_{label}s", kind))
        return rows

    def extensions(self) -> list[Route]:
        every = f"{GROUP}/{PROVIDER}/virtualMachines/{{parent}}/extensions"
        one = f"{every}/{{extension}}"
        rows = {200: ResponseSpec("of one machine", ComputeResourceList)}
        return [
            *self._crud(EXTENSION, one, "extension"),
            self._row("GET", every, "list_extensions", "list_extensions", EXTENSION, rows),
        ]

    def operation(self) -> Route:
        """Polling, by the body or by the status code."""
        replies = {
            200: ResponseSpec(
                "its state; with `monitor`, the resource", OperationStatus | ComputeResource, headers=POLLING
            ),
            202: ResponseSpec("`monitor`: in progress", headers=LOCATION),
            204: ResponseSpec("`monitor`: done, nothing is left"),
            409: ResponseSpec("`monitor`: failed", ARM_DIALECT.shape),
        }
        return self._row(
            "GET",
            f"{SUBSCRIPTION}/{PROVIDER}/locations/{{location}}/operations/{{operation}}",
            "get_operation",
            "operation",
            "",
            replies,
            (*EVERY, errors.OPERATION_NOT_FOUND),
            query=(Parameter("monitor", {"type": "string", "enum": ["true", "false"]}),),
        )

    def _crud(self, kind: str, one: str, label: str) -> list[Route]:
        put, patch = (Body(shape, by_handler=True) for shape in REQUESTS[label])
        updated = {200: ResponseSpec("an update was accepted", ComputeResource, headers=POLLING)}
        created = {**updated, 201: ResponseSpec("the creation was accepted", ComputeResource, headers=POLLING)}
        gone = {202: ResponseSpec("accepted", headers=LOCATION), 204: ResponseSpec("was not there")}
        found = {200: ResponseSpec("found", ComputeResource)}
        expand = (Parameter("$expand", {"type": "string", "enum": ["instanceView"]}),)
        return [
            self._row("PUT", one, f"create_{label}", "put", kind, created, CHANGE, put),
            self._row("GET", one, f"get_{label}", "get", kind, found, query=expand),
            self._row("PATCH", one, f"update_{label}", "patch", kind, updated, CHANGE, patch),
            self._row("DELETE", one, f"delete_{label}", "delete", kind, gone, ACCEPTED),
        ]

    def _action(self, kind: str, one: str, label: str, action: str) -> Route:
        replies = {202: ResponseSpec("accepted", headers=LOCATION)}
        return self._row("POST", f"{one}/{action}", f"{action}_{label}", "act", kind, replies, ACCEPTED, action=action)

    def _list(self, path: str, operation_id: str, kind: str) -> Route:
        query = (Parameter("$skiptoken", {"type": "string", "pattern": "^[0-9]{1,9}$"}),)
        rows = {200: ResponseSpec("a page", ComputeResourceList)}
        return self._row(
            "GET", path, operation_id, "list", kind, rows, (*EVERY, errors.INVALID_SKIP_TOKEN), query=query
        )

    def _row(
        self,
        method: str,
        path: str,
        operation_id: str,
        handler: str,
        kind: str,
        replies: Mapping[int, ResponseSpec],
        refusals: tuple[ErrorSpec, ...] = READ,
        body: Body | None = None,
        query: tuple[Parameter, ...] = (),
        **fixed: str,
    ) -> Route:
        called = self._arm(partial(getattr(self._handlers, handler), kind, **fixed))
        query = (API_VERSION, *query)
        return named(
            method,
            path,
            operation_id,
            called,
            replies,
            refusals,
            body,
            query,
            access="client",
            path_shapes=SHAPES,
            tag=kind or "operations",
        )
