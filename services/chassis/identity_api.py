"""The public API of the identity service: one route table for the nodes and for the router in front of them.

`handler_of` and `errors_of` map a row's operation id to the server's handler and errors.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from aiohttp import web
from pydantic import BaseModel

from services.chassis.arm import API_VERSION, ARM_DIALECT, GROUP, SCOPE, SUBSCRIPTION
from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.routes import JSON, Body, BodyShape, Handler, Parameter, ResponseSpec, Route

TYPE = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"
JSON_CONTENT = {"Content-Type": "application/json; charset=utf-8"}
IMDS, APP_SERVICE = "/metadata/identity/oauth2/token", "/msi/token"
SELECTORS = ("client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id")
TEXT: BodyShape = {"type": "string", "minLength": 1}
NAME: BodyShape = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{3,128}$"}
TAG = "tokens"
IDENTITIES = "identities"

HandlerOf = Callable[[str], Handler]
ErrorsOf = Callable[[str], tuple[ErrorSpec, ...]]


class AppServiceToken(BaseModel):
    access_token: str
    client_id: str
    expires_on: str
    resource: str
    token_type: str


class ImdsToken(AppServiceToken):
    expires_in: str
    ext_expires_in: str
    not_before: str


class ImdsError(BaseModel):
    error: str
    error_description: str


class AppServiceError(BaseModel):
    statusCode: int
    message: str
    correlationId: str


class Key(BaseModel):
    """A public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class KeySet(BaseModel):
    keys: list[Key]


class IdentityPatch(BaseModel):
    tags: dict[str, str] | None = None


class IdentityBody(IdentityPatch):
    location: str


class IdentityIds(BaseModel):
    tenantId: str
    principalId: str
    clientId: str


class Identity(BaseModel):
    id: str
    name: str
    type: str
    location: str
    tags: dict[str, str]
    properties: IdentityIds


class IdentityList(BaseModel):
    value: list[Identity]


_DIALECTS = {
    IMDS: ResponseSpec("refused", ImdsError, JSON),
    APP_SERVICE: ResponseSpec("refused", AppServiceError, JSON),
}


def dialect(route: Route) -> ResponseSpec:
    """The error format of a route: ARM's on ARM paths, otherwise that of the token endpoint."""
    return ARM_DIALECT if route.is_arm else _DIALECTS.get(route.path, _DIALECTS[IMDS])


def error_response(request: web.Request, error: ServiceError) -> web.Response:
    """An error in the format of its path. Nodes and the router use the same one, so callers parse only one."""
    body = _error_body(request.path.lower(), error.spec, error.message, error.target or "")
    return web.Response(body=body, status=error.spec.status, headers={**JSON_CONTENT, **error.headers})


@lru_cache(maxsize=1024)
def _error_body(path: str, spec: ErrorSpec, message: str, target: str) -> bytes:
    """Cached, because an overloaded node sends the same few bodies a hundred thousand times."""
    if path.startswith("/subscriptions/"):
        detail = {"code": spec.code, "message": message} | ({"target": target} if target else {})
        return json.dumps({"error": detail}).encode()
    if path.startswith(f"{APP_SERVICE}/") or path == APP_SERVICE:
        return json.dumps({"statusCode": spec.status, "message": message, "correlationId": ""}).encode()
    known = "invalid_request" if spec.status == 400 and spec.code.startswith("bad_request") else spec.code
    return json.dumps({"error": known, "error_description": message}).encode()


def identity_routes(handler_of: HandlerOf, errors_of: ErrorsOf) -> tuple[Route, ...]:
    """The route table. Token routes come first because nearly all requests match them."""
    rows = (*_tokens(), *_identities())
    return tuple(replace(row, handler=handler_of(row.operation_id), errors=errors_of(row.operation_id)) for row in rows)


async def _unbound(_request: web.Request) -> web.StreamResponse:
    raise NotImplementedError


def _tokens() -> list[Route]:
    return [
        _token(
            IMDS,
            "get_token",
            "Token, as IMDS gives it",
            Parameter("Metadata", {"const": "true"}, required=True),
            ImdsToken,
        ),
        _token(
            APP_SERVICE,
            "get_app_service_token",
            "Token, as App Service gives it",
            Parameter("X-IDENTITY-HEADER", TEXT, required=True),
            AppServiceToken,
        ),
        Route(
            "GET",
            "/.well-known/jwks.json",
            "get_keys",
            "Key set",
            _unbound,
            "client",
            {200: ResponseSpec("the keys that verify tokens", KeySet)},
            tag=TAG,
        ),
    ]


def _token(path: str, operation_id: str, summary: str, header: Parameter, shape: BodyShape) -> Route:
    asked = (Parameter("api-version", TEXT, required=True), Parameter("resource", TEXT, required=True))
    return Route(
        "GET",
        path,
        operation_id,
        summary,
        _unbound,
        "client",
        {200: ResponseSpec("a token", shape)},
        query=(*asked, *(Parameter(name, TEXT, about="whose; at most one of these") for name in SELECTORS)),
        headers=(header, Parameter("x-tenant", about="who asks; counts for fairness and system-assigned identities")),
        slash=path == IMDS,  # the JavaScript client's spelling
        tag=TAG,
    )


def _identities() -> list[Route]:
    one, every, everywhere = f"{GROUP}/{TYPE}/{{name}}", f"{GROUP}/{TYPE}", f"{SUBSCRIPTION}/{TYPE}"
    saved = {200: ResponseSpec("updated", Identity)}
    gone = {200: ResponseSpec("deleted"), 204: ResponseSpec("was not there")}
    rows = {200: ResponseSpec("by id", IdentityList)}
    put, patch = Body(IdentityBody, by_handler=True), Body(IdentityPatch, by_handler=True)
    return [
        _arm("PUT", one, "create_identity", "Create or update", {**saved, 201: ResponseSpec("created", Identity)}, put),
        _arm("PATCH", one, "update_identity", "Update tags", saved, patch),
        _arm("GET", one, "get_identity", "Get", {200: ResponseSpec("found", Identity)}),
        _arm("DELETE", one, "delete_identity", "Delete", gone),
        _arm("GET", every, "list_identities_of_group", "List of a group", rows),
        _arm("GET", everywhere, "list_identities", "List of the subscription", rows),
    ]


def _arm(
    method: str,
    path: str,
    operation_id: str,
    summary: str,
    replies: Mapping[int, ResponseSpec],
    body: Body | None = None,
) -> Route:
    return Route(
        method,
        path,
        operation_id,
        summary,
        _unbound,
        "client",
        replies,
        body=body,
        query=(API_VERSION,),
        path_shapes={**SCOPE, "name": NAME},
        tag=IDENTITIES,
    )
