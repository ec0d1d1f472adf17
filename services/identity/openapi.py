"""The OpenAPI 3.1 document at `/openapi.json`: tokens, key set, user-assigned identities."""

from typing import Any

from services.identity import errors

Schema = dict[str, Any]

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
TYPE = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"
SELECTORS = ("client_id", "object_id", "msi_res_id", "mi_res_id")
TEXT: Schema = {"type": "string", "minLength": 1}
NAME = r"^[A-Za-z0-9_-]{3,24}$"
REFUSED = (errors.NODE_OVERLOADED, errors.TENANT_THROTTLED, errors.DEADLINE_EXCEEDED)


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aftershock managed identity (IMDS, App Service, Microsoft.ManagedIdentity)", "version": "1"},
        "paths": {
            "/metadata/identity/oauth2/token": {"get": _token("Token, as IMDS gives it", "Metadata", "ImdsToken")},
            "/msi/token": {"get": _token("Token, as App Service gives it", "X-IDENTITY-HEADER", "AppServiceToken")},
            "/.well-known/jwks.json": {"get": {"summary": "Key set", "responses": {"200": _json("KeySet")}}},
            f"{GROUP}/{TYPE}/{{name}}": _identity(),
            f"{GROUP}/{TYPE}": {"get": _list(SUBSCRIPTION_PARAMETER, GROUP_PARAMETER)},
            f"{SUBSCRIPTION}/{TYPE}": {"get": _list(SUBSCRIPTION_PARAMETER)},
        },
        "components": {"schemas": _schemas()},
    }


def _token(summary: str, header: str, schema: str) -> Schema:
    query = [
        _parameter("api-version", "query", TEXT, required=True),
        _parameter("resource", "query", TEXT, required=True),
    ]
    selectors = [_parameter(name, "query", TEXT) for name in SELECTORS]
    statuses = sorted({400, 401, *(spec.status for spec in REFUSED)})
    return {
        "summary": summary,
        "parameters": [_parameter(header, "header", TEXT, required=True), *query, *selectors],
        "responses": {"200": _json(schema), **{str(status): _json("TokenError") for status in statuses}},
    }


def _identity() -> Schema:
    refused = {str(spec.status): _json("ArmError") for spec in (*REFUSED, errors.ARM_INVALID, errors.ARM_NOT_FOUND)}
    return {
        "parameters": [SUBSCRIPTION_PARAMETER, GROUP_PARAMETER, _parameter("name", "path", NAME_TEXT, required=True)],
        "put": _operation("Create or update", {"200": "Identity", "201": "Identity"}, refused, "IdentityBody"),
        "patch": _operation("Update tags", {"200": "Identity"}, refused, "IdentityPatch"),
        "get": _operation("Get", {"200": "Identity"}, refused),
        "delete": _operation("Delete", {"200": None, "204": None}, refused),
    }


def _list(*scope: Schema) -> Schema:
    return {"parameters": scope, **_operation("List", {"200": "IdentityList"}, {"400": _json("ArmError")})}


def _operation(summary: str, answers: dict[str, str | None], refused: Schema, body: str | None = None) -> Schema:
    responses = {**refused, **{status: _json(name) if name else _plain(status) for status, name in answers.items()}}
    operation: Schema = {"summary": summary, "parameters": [API_VERSION], "responses": responses}
    return {**operation, "requestBody": {"required": True, **_json(body)}} if body else operation


def _json(schema: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": schema, "content": content}


def _plain(status: str) -> Schema:
    return {"description": "deleted" if status == "200" else "was not there"}


def _parameter(name: str, place: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": place, "schema": schema, "required": required}


NAME_TEXT: Schema = {"type": "string", "pattern": NAME}
SUBSCRIPTION_PARAMETER = _parameter("subscription", "path", NAME_TEXT, required=True)
GROUP_PARAMETER = _parameter("group", "path", NAME_TEXT, required=True)
API_VERSION = _parameter("api-version", "query", TEXT, required=True)


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _texts(*names: str) -> Schema:
    return _object({name: {"type": "string"} for name in names}, *names)


def _schemas() -> Schema:
    plain: Schema = {"type": "string"}
    tags: Schema = {"type": "object", "additionalProperties": plain}
    body = {"location": {"type": "string", "minLength": 1}, "tags": tags}
    named: dict[str, Schema] = dict.fromkeys(("id", "name", "type", "location"), plain)
    ids = _texts("tenantId", "principalId", "clientId")
    app_service = ("access_token", "client_id", "expires_on", "resource", "token_type")
    return {
        "ImdsToken": _texts(*app_service, "expires_in", "ext_expires_in", "not_before"),
        "AppServiceToken": _texts(*app_service),
        "TokenError": {"type": "object", "minProperties": 2},
        "KeySet": _object({"keys": {"type": "array", "items": _texts("kty", "crv", "x", "kid", "alg", "use")}}, "keys"),
        "IdentityBody": _object(body, "location"),
        "IdentityPatch": _object({"tags": tags}),
        "Identity": _object({**named, "tags": tags, "properties": ids}, *named, "tags", "properties"),
        "IdentityList": _object(
            {"value": {"type": "array", "items": {"$ref": "#/components/schemas/Identity"}}}, "value"
        ),
        "ArmError": _object(
            {"error": _object({"code": plain, "message": plain, "target": plain}, "code", "message")}, "error"
        ),
    }
