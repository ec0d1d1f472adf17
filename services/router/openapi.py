"""The OpenAPI 3.1 document at `/openapi.json`: the operator's door and the public paths that are passed on to a node.

What a node answers is in the identity service's own document; the router adds 502, 503 and 504.
"""

from typing import Any

from services.router.handlers import TrafficChange

Schema = dict[str, Any]
TOKEN_ERROR: Schema = {"type": "object", "minProperties": 2}
TEXT: Schema = {"type": "string", "minLength": 1}


def document(region: str) -> Schema:
    """The whole document; the one region whose traffic this router changes stands in it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aftershock regional router", "version": "1"},
        "paths": {
            "/admin/traffic": {"get": {"summary": "Modes and nodes", "responses": {"200": _json("so", _traffic())}}},
            "/admin/traffic/{region}": {"put": _change(region)},
            "/.well-known/jwks.json": {"get": _forwarded("Key set of the identity service", [])},
            "/metadata/identity/oauth2/token": {"get": _forwarded("Token, as IMDS gives it", _token("Metadata"))},
            "/msi/token": {"get": _forwarded("Token, as App Service gives it", _token("X-IDENTITY-HEADER"))},
        },
    }


def _token(header: str) -> list[Schema]:
    return [_parameter(header, "header"), _parameter("api-version", "query"), _parameter("resource", "query")]


def _parameter(name: str, place: str, schema: Schema = TEXT) -> Schema:
    return {"name": name, "in": place, "required": True, "schema": schema}


def _forwarded(summary: str, parameters: list[Schema]) -> Schema:
    statuses = ("400", "401", "429", "502", "503", "504")
    responses = {"200": _json("a node's answer", {"type": "object"})}
    responses |= {status: _json("refused, here or by the node", TOKEN_ERROR) for status in statuses}
    return {"summary": summary, "parameters": parameters, "responses": responses}


def _change(region: str) -> Schema:
    body = TrafficChange.model_json_schema()
    answer = {
        "type": "object",
        "required": ["region", "mode", "capacity_per_s"],
        "properties": {"region": {"const": region}, "mode": {"type": "string"}, "capacity_per_s": {"type": "number"}},
    }
    return {
        "summary": "Open, drain or ramp the region's traffic",
        "parameters": [_parameter("region", "path", {"const": region})],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _json("changed", answer),
            **{status: _json("refused", TOKEN_ERROR) for status in ("400", "404", "422")},
        },
    }


def _traffic() -> Schema:
    row = {
        "type": "object",
        "required": ["mode", "open", "nodes"],
        "properties": {"mode": {"type": "string"}, "open": {"type": "boolean"}, "nodes": {"type": "integer"}},
    }
    regions = {"type": "object", "additionalProperties": row}
    return {"type": "object", "required": ["home", "regions"], "properties": {"home": TEXT, "regions": regions}}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
