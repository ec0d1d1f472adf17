"""The API: Azure Resource Manager's paths, verbs, headers and status codes for compute.

Every response carries ARM's ids; every accepted operation carries the URL to poll, absolute, on the client's host.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from services.chassis.arm import check_api_version
from services.chassis.bodies import read_json
from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.http import retry_after
from services.chassis.openapi import Api
from services.provisioner import errors
from services.provisioner.arm import views
from services.provisioner.arm.compute import Compute
from services.provisioner.arm.throttle import SubscriptionThrottle
from services.provisioner.ids import Ref, operation_path, subscription_of
from services.provisioner.jobs.control import Accepted, JobControl
from services.provisioner.routes import api
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import EXTENSION, FAILED, IN_PROGRESS, VM, ProvisioningOperation, Resource

JSON_TYPE = "application/json; charset=utf-8"
SKIP_TOKEN = re.compile("[0-9]{1,18}")
Headers = dict[str, str]
ArmAnswer = tuple[int, Any, Headers]
"""Status, body or None, extra headers."""
ArmCallHandler = Callable[[web.Request], Awaitable[ArmAnswer]]


class ProvisionerHandlers:
    """The handlers of all routes."""

    def __init__(
        self,
        env: Env,
        compute: Compute,
        control: JobControl,
        throttle: SubscriptionThrottle,
        settings: ProvisionerSettings,
    ) -> None:
        self._env = env
        self._compute = compute
        self._control = control
        self._throttle = throttle
        self.settings = settings

    def api(self) -> Api:
        """The route table."""
        return api(self, self._arm)

    # --- resources ---------------------------------------------------------------------------------------

    async def put(self, kind: str, request: web.Request) -> ArmAnswer:
        accepted = await self._control.put(_ref(kind, request), await read_json(request))
        return self._resource_answer(request, accepted)

    async def patch(self, kind: str, request: web.Request) -> ArmAnswer:
        accepted = await self._control.patch(_ref(kind, request), await read_json(request))
        return self._resource_answer(request, accepted)

    async def act(self, kind: str, request: web.Request, *, action: str) -> ArmAnswer:
        accepted = await self._control.act(_ref(kind, request), action)
        return 202, None, self._poll_headers(request, accepted.operation, monitor=True)

    async def delete(self, kind: str, request: web.Request) -> ArmAnswer:
        accepted = await self._control.delete(_ref(kind, request))
        if accepted is None:
            return 204, None, {}
        return 202, None, self._poll_headers(request, accepted.operation, monitor=True)

    async def get(self, kind: str, request: web.Request) -> ArmAnswer:
        found = self._control.find(_ref(kind, request))
        view = views.resource(found)
        if "instanceview" in request.query.get("$expand", "").lower():
            view["properties"]["instanceView"] = self._instance_view(found)
        return 200, view, {}

    async def instance_view(self, kind: str, request: web.Request) -> ArmAnswer:
        return 200, self._instance_view(self._control.find(_ref(kind, request))), {}

    def _instance_view(self, found: Resource) -> views.JsonView:
        if found.kind == EXTENSION:
            return views.extension_instance_view(found)
        last = self._compute.operations.get(found.operation)
        at = found.created if last is None else last.ended or last.accepted
        if found.kind == VM:
            return views.machine_instance_view(found, self._compute.children(found.key), at)
        return views.scale_set_instance_view(found, at)

    async def list_extensions(self, _kind: str, request: web.Request) -> ArmAnswer:
        match = request.match_info
        machine = self._control.find(Ref(match["subscription"], match["group"], VM, match["parent"]))
        return 200, {"value": [views.resource(item) for item in self._compute.children(machine.key)]}, {}

    async def list(self, kind: str, request: web.Request) -> ArmAnswer:
        """A page of resources; `nextLink` is the URL of the next."""
        match = request.match_info
        prefix = f"/subscriptions/{match['subscription']}/".lower()
        if "group" in match:
            prefix += f"resourcegroups/{match['group']}/".lower()
        found = self._compute.select(prefix, kind)
        skip = request.query.get("$skiptoken", "0")
        if not SKIP_TOKEN.fullmatch(skip):
            raise ServiceError(errors.INVALID_SKIP_TOKEN, target="$skiptoken", value=skip)
        start, size = int(skip), self.settings.list_page_size
        page: dict[str, Any] = {"value": [views.resource(item) for item in found[start : start + size]]}
        if start + size < len(found):
            page["nextLink"] = str(request.url.update_query({"$skiptoken": str(start + size)}))
        return 200, page, {}

    # --- operations --------------------------------------------------------------------------------------

    async def operation(self, _kind: str, request: web.Request) -> ArmAnswer:
        """The state of an operation; with `monitor=true` the older protocol, which uses the status code."""
        match = request.match_info
        found = self._compute.operations.get(match["operation"].lower())
        here = match["location"].lower() == self._env.region
        if found is None or not here or subscription_of(found.resource) != match["subscription"].lower():
            raise ServiceError(errors.OPERATION_NOT_FOUND, operation=match["operation"], location=match["location"])
        waiting = retry_after(self.settings.retry_after_s) if found.status == IN_PROGRESS else {}
        if request.query.get("monitor") == "true":
            return self._monitor(request, found, waiting)
        return 200, views.operation(found, self._compute.jobs.get(found.id), self._env.region), waiting

    def _monitor(self, request: web.Request, found: ProvisioningOperation, waiting: Headers) -> ArmAnswer:
        if found.status == IN_PROGRESS:
            return 202, None, {**waiting, "Location": str(request.url)}
        if found.status == FAILED:
            return 409, {"error": found.error}, {}
        resource = self._compute.resources.get(found.resource)
        return (200, views.resource(resource), {}) if resource is not None else (204, None, {})

    def _resource_answer(self, request: web.Request, accepted: Accepted) -> ArmAnswer:
        headers = self._poll_headers(request, accepted.operation)
        return 201 if accepted.created else 200, views.resource(accepted.resource), headers

    def _poll_headers(
        self, request: web.Request, operation: ProvisioningOperation, *, monitor: bool = False
    ) -> Headers:
        path = operation_path(request.match_info["subscription"], self._env.region, operation.id)
        url = f"{request.scheme}://{request.host}{path}?api-version={request.query['api-version']}"
        headers = {"Azure-AsyncOperation": url, **retry_after(self.settings.retry_after_s)}
        if monitor:
            headers["Location"] = f"{url}&monitor=true"
        return headers

    # --- the common edge ---------------------------------------------------------------------------------

    def _arm(self, handler: ArmCallHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Wraps a handler in the steps of all ARM requests: version check, throttle, ids, JSON."""

        async def serve(request: web.Request) -> web.Response:
            check_api_version(request)
            subscription = request.match_info["subscription"]
            remaining = self._throttle.take(request.method, subscription, self._env.clock.now())
            status, body, headers = await handler(request)
            return self._respond(request, status, body, {**remaining, **headers})

        return serve

    def _respond(self, request: web.Request, status: int, body: Any, headers: Headers) -> web.Response:
        own = {**self._ids(request), **headers}
        if body is None:
            return web.Response(status=status, headers=own)
        own["Content-Type"] = JSON_TYPE
        return web.Response(body=json.dumps(body).encode(), status=status, headers=own)

    def render_error(self, request: web.Request, error: ServiceError) -> web.Response:
        return self._respond(request, error.spec.status, errors.body_of(error), error.headers)

    def _ids(self, request: web.Request) -> Headers:
        env = self._env
        request_id = env.streams.uuid("requests")
        correlation = request.headers.get("x-ms-correlation-request-id", request_id)
        moment = env.clock.utc()
        headers = {
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"{env.region.upper()}:{moment:%Y%m%dT%H%M%SZ}:{request_id}",
            "Cache-Control": "no-cache",
        }
        client_id = request.headers.get("x-ms-client-request-id")
        if client_id and request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            headers["x-ms-client-request-id"] = client_id
        return headers


def _ref(kind: str, request: web.Request) -> Ref:
    match = request.match_info
    if kind == EXTENSION:
        return Ref(match["subscription"], match["group"], kind, match["extension"], match["parent"])
    return Ref(match["subscription"], match["group"], kind, match["name"])
