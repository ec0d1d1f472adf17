"""Token endpoints (IMDS and App Service) and management of user-assigned identities.

Calls that cost the real service work go through the node's queue; reading the key set and listing do not.
"""

import json
from functools import lru_cache
from typing import Any

from aiohttp import web
from yarl import URL

from services.chassis.access import matches
from services.chassis.arm import MISSING_API_VERSION
from services.chassis.bodies import parse, read_json
from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.identity_api import SELECTORS, IdentityBody, IdentityPatch
from services.chassis.routes import Handler
from services.chassis.settings import SettingsError
from services.identity import errors
from services.identity.directory import Directory, DirectoryFull, resource_id, system_assigned
from services.identity.metrics import IdentityMetrics
from services.identity.node import Node
from services.identity.tokens import Issuer
from services.policies.recent import Recent

TOKENS_MAX = 256
"""A signed token takes 1.2 kB, and nearly all are of identities that are used for a minute."""
APP_SERVICE_SECRET = "aftershock-app-service"
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class IdentityHandlers:
    """The handlers of one node, for the routes in services/identity/routes.py."""

    def __init__(self, env: Env, node: Node, metrics: IdentityMetrics) -> None:
        self._env = env
        self._node = node
        self._metrics = metrics
        self._directory = Directory(env.store, env.stored)
        self._issuer = Issuer(node.settings.key_seed, node.settings.issuer)
        self._ids = env.streams
        self._tokens: Recent[tuple[str, str], tuple[float, str]] = Recent(TOKENS_MAX)
        self._crashes = 0

    def handler_of(self, operation_id: str) -> Handler:
        """The handler of a route."""
        return {
            "get_token": self.imds_token,
            "get_app_service_token": self.app_service_token,
            "get_keys": self.jwks,
            "create_identity": self.put_identity,
            "update_identity": self.put_identity,
            "get_identity": self.get_identity,
            "delete_identity": self.delete_identity,
            "list_identities_of_group": self.list_identities,
            "list_identities": self.list_identities,
        }[operation_id]

    async def imds_token(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata", "").lower() != "true":
            raise ServiceError(errors.METADATA_MISSING)
        token = await self._token(request)
        fields = ("access_token", "client_id", "expires_in", "expires_on", "ext_expires_in", "not_before", "resource")
        return self._answer("token", {**{name: token[name] for name in fields}, "token_type": "Bearer"})

    async def app_service_token(self, request: web.Request) -> web.Response:
        given = request.headers.get("X-IDENTITY-HEADER", "")
        if not matches(given, APP_SERVICE_SECRET):
            raise ServiceError(errors.SECRET_MISMATCH)
        token = await self._token(request)
        fields = ("access_token", "client_id", "expires_on", "resource")
        return self._answer("token", {**{name: token[name] for name in fields}, "token_type": "Bearer"})

    async def _token(self, request: web.Request) -> dict[str, str]:
        resource, selected = _token_query(request.rel_url.raw_query_string)
        await self._work(request, "token")
        identity = await self._find(request, selected)
        return self._issue(identity, resource, request)

    async def _work(self, request: web.Request, operation: str) -> None:
        try:
            await self._node.serve(request)
        except ServiceError as error:
            self._metrics.answered(operation, error.spec.status)
            raise

    async def _find(self, request: web.Request, selected: str) -> dict[str, str]:
        if not selected:
            return system_assigned(request.headers.get("x-tenant", "default"))
        identity = await self._directory.lookup(selected)
        if identity is None:
            raise ServiceError(errors.IDENTITY_NOT_FOUND)
        return identity

    def _issue(self, identity: dict[str, str], resource: str, request: web.Request) -> dict[str, str]:
        now = self._env.clock.epoch()
        lifetime_s = self._node.settings.token_lifetime_s
        transport = request.transport
        gone = transport is None or transport.is_closing()
        # The caller has disconnected: the service time was spent, but no token is signed.
        issued, token = (now, "") if gone else self._token_of(identity, resource, now, lifetime_s)
        return {
            "access_token": token,
            "client_id": identity["clientId"],
            "expires_in": str(int(issued + lifetime_s) - int(now)),
            "expires_on": str(int(issued) + int(lifetime_s)),
            "ext_expires_in": str(int(issued + lifetime_s) - int(now)),
            "not_before": str(int(issued)),
            "resource": resource,
        }

    def _token_of(self, identity: dict[str, str], resource: str, now: float, lifetime_s: float) -> tuple[float, str]:
        """This node's cached token for the pair, reused for half of its lifetime; a crash empties the cache."""
        if self._crashes != self._node.crashes:
            self._crashes = self._node.crashes
            self._tokens.clear()
        key = (identity["clientId"], resource)
        kept = self._tokens.get(key)
        if kept is None or now > kept[0] + lifetime_s / 2:
            token = self._issuer.issue(identity, resource, now, lifetime_s, self._ids.uuid("tokens"))
            kept = self._tokens[key] = (now, token)
        return kept

    async def put_identity(self, request: web.Request) -> web.Response:
        rid = self._resource_id(request)
        body = _identity_body(await read_json(request), partial=request.method == "PATCH")
        await self._work(request, "create" if request.method == "PUT" else "update")
        before: dict[str, Any] = {}
        if request.method == "PATCH":
            before = await self._directory.get(rid) or {}
            if not before:
                raise self._not_found(request)
        location = body.get("location") or before.get("location", self._env.region)
        limit = self._node.settings.identities_max
        try:
            identity, new = await self._directory.put(rid, location, body.get("tags") or before.get("tags", {}), limit)
        except DirectoryFull:
            raise ServiceError(errors.ARM_QUOTA_EXCEEDED, limit=limit) from None
        return self._answer("create" if new else "update", _arm_view(identity), 201 if new else 200)

    async def get_identity(self, request: web.Request) -> web.Response:
        identity = await self._directory.get(self._resource_id(request))
        if identity is None:
            raise self._not_found(request)
        return self._answer("read", _arm_view(identity))

    async def delete_identity(self, request: web.Request) -> web.Response:
        rid = self._resource_id(request)
        await self._work(request, "delete")
        there = await self._directory.delete(rid)
        self._metrics.answered("delete", 200 if there else 204)
        return web.Response(status=200 if there else 204)

    async def list_identities(self, request: web.Request) -> web.Response:
        _require_api_version(request)
        prefix = f"/subscriptions/{request.match_info['subscription']}/"
        if "group" in request.match_info:
            prefix += f"resourceGroups/{request.match_info['group']}/"
        rows = await self._directory.list(prefix)
        return self._answer("read", {"value": [_arm_view(row) for row in rows]})

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self._issuer.jwks())

    async def crash(self, _request: web.Request) -> web.Response:
        self._node.crash("operator")
        return web.json_response({"status": "crashed"})

    def _resource_id(self, request: web.Request) -> str:
        _require_api_version(request)
        match = request.match_info
        return resource_id(match["subscription"], match["group"], match["name"])

    def _not_found(self, request: web.Request) -> ServiceError:
        match = request.match_info
        return ServiceError(errors.ARM_NOT_FOUND, name=match["name"], group=match["group"])

    def _answer(self, operation: str, body: dict[str, Any], status: int = 200) -> web.Response:
        self._metrics.answered(operation, status)
        return web.Response(body=json.dumps(body).encode(), status=status, headers=JSON_HEADERS)


@lru_cache(maxsize=256)
def _token_query(raw: str) -> tuple[str, str]:
    """The requested resource, and the client, object or resource id of the identity; empty for system-assigned."""
    query = URL.build(path="/", query_string=raw, encoded=True).query
    if not query.get("api-version"):
        raise ServiceError(errors.API_VERSION_MISSING)
    resource = query.get("resource", "")
    if not resource:
        raise ServiceError(errors.RESOURCE_MISSING)
    selected = [query[name] for name in SELECTORS if query.get(name)]
    if len(selected) > 1:
        raise ServiceError(errors.IDENTITY_AMBIGUOUS)
    return resource, selected[0] if selected else ""


def _require_api_version(request: web.Request) -> None:
    if not request.query.get("api-version"):
        raise ServiceError(MISSING_API_VERSION)


def _identity_body(body: object, *, partial: bool) -> dict[str, Any]:
    try:
        return parse(IdentityPatch if partial else IdentityBody, body, "").model_dump(exclude_none=True)
    except SettingsError as error:
        target, _, rule = str(error).partition(": ")
        raise ServiceError(errors.ARM_INVALID, target=target, detail=f"'{target}' is invalid: {rule}") from error


def _arm_view(identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": identity["id"],
        "name": identity["id"].rsplit("/", 1)[1],
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": identity["location"],
        "tags": identity["tags"],
        "properties": {name: identity[name] for name in ("tenantId", "principalId", "clientId")},
    }
