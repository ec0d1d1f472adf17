"""The OpenAPI document of the front door, served at `/openapi.json`; test generators read it.

Bodies are described as far as this service judges them. What it only stores (disks, networks, images) is open.
"""

from typing import Any

from services.provisioner.state import ACTIONS
from services.provisioner.validation import CAPACITY_MAX, IDENTITY_TYPES

Schema = dict[str, Any]

GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"
SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.Compute"
TYPES = {"virtualMachines": "VirtualMachine", "virtualMachineScaleSets": "VirtualMachineScaleSet"}
ERRORS = ("400", "404", "429", "503")
CHANGE_ERRORS = ("400", "404", "409", "413", "429", "503")
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?$"

POLLING = {
    "Azure-AsyncOperation": {"description": "where to poll", "schema": {"type": "string"}},
    "Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}},
}


def document() -> Schema:
    """OpenAPI 3.0: paths, parameters, bodies and every status that is answered."""
    paths: dict[str, Schema] = {}
    for type_, schema in TYPES.items():
        named = f"{GROUP}/{type_}/{{name}}"
        paths[named] = _resource_path(schema, ("name",))
        paths[f"{named}/instanceView"] = {"get": _operation(("name",), {"200": "InstanceView"}, ERRORS)}
        for action in ACTIONS:
            paths[f"{named}/{action}"] = {"post": _operation(("name",), {"202": None}, CHANGE_ERRORS)}
        paths[f"{GROUP}/{type_}"] = {"get": _operation((), {"200": f"{schema}List"}, ERRORS, paged=True)}
        paths[f"{SUBSCRIPTION}/{type_}"] = {
            "get": _operation((), {"200": f"{schema}List"}, ERRORS, paged=True, group=False)
        }
    extensions = f"{GROUP}/virtualMachines/{{parent}}/extensions"
    paths[f"{extensions}/{{extension}}"] = _resource_path("VirtualMachineExtension", ("parent", "extension"))
    paths[extensions] = {"get": _operation(("parent",), {"200": "VirtualMachineExtensionList"}, ERRORS)}
    paths[f"{SUBSCRIPTION}/locations/{{location}}/operations/{{operation}}"] = {"get": _poll()}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Aftershock provisioner (Microsoft.Compute)", "version": "1"},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _resource_path(schema: str, names: tuple[str, ...]) -> Schema:
    return {
        "get": _operation(names, {"200": schema}, ERRORS),
        "put": _operation(names, {"200": schema, "201": schema}, CHANGE_ERRORS, body=f"{schema}Request"),
        "patch": _operation(names, {"200": schema}, CHANGE_ERRORS, body=f"{schema}Patch"),
        "delete": _operation(names, {"202": None, "204": None}, CHANGE_ERRORS),
    }


def _operation(
    names: tuple[str, ...],
    answers: dict[str, str | None],
    errors: tuple[str, ...],
    *,
    body: str | None = None,
    paged: bool = False,
    group: bool = True,
) -> Schema:
    parameters = [_path("subscription", r"^[A-Za-z0-9-]{1,64}$")]
    if group:
        parameters.append(_path("group", r"^[A-Za-z0-9._()-]{1,90}$"))
    parameters += [_path(name, NAME_PATTERN) for name in names]
    parameters.append(_query("api-version", r"^\d{4}-\d{2}-\d{2}(-preview)?$", required=True))
    if paged:
        parameters.append(_query("$skiptoken", r"^[0-9]{1,9}$"))
    responses: Schema = {status: _answer(schema) for status, schema in answers.items()}
    responses.update({status: _answer("Error") for status in errors})
    operation: Schema = {"parameters": parameters, "responses": responses}
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _poll() -> Schema:
    poll = _operation((), {"200": "Operation", "202": None, "204": None}, ("400", "404", "409", "429"), group=False)
    poll["parameters"] += [_path("location", r"^[a-z0-9]+$"), _path("operation", r"^[0-9a-f-]{36}$")]
    poll["parameters"].append(_query("monitor", r"^(true|false)$"))
    return poll


def _answer(schema: str | None) -> Schema:
    answer: Schema = {"description": schema or "no body", "headers": POLLING if schema is None else {}}
    if schema:
        answer["content"] = {"application/json": {"schema": _ref(schema)}}
    return answer


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _path(name: str, pattern: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _query(name: str, pattern: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string", "pattern": pattern}}


def _object(properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, **more}
    if required:
        schema["required"] = list(required)
    return schema


_STRING: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_LIST_OF_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_EXTENSION_PROPERTIES: Schema = {
    "publisher": _STRING,
    "type": _STRING,
    "typeHandlerVersion": {"type": "string", "pattern": r"^\d+(\.\d+){0,3}$"},
    "autoUpgradeMinorVersion": _BOOLEAN,
    "enableAutomaticUpgrade": _BOOLEAN,
    "suppressFailures": _BOOLEAN,
    "settings": {"type": "object"},
    "provisionAfterExtensions": {"type": "array", "items": _STRING},
    "forceUpdateTag": _STRING,
}


def _schemas() -> Schema:
    schemas: Schema = {
        "Error": _object({"error": _object({"code": _STRING, "message": _STRING}, ("code", "message"))}, ("error",)),
        "InstanceView": _object({"statuses": _LIST_OF_OBJECTS, "extensions": _LIST_OF_OBJECTS}, ("statuses",)),
        "Operation": _object(
            {
                "id": _STRING,
                "name": _STRING,
                "status": {"type": "string", "enum": ["InProgress", "Succeeded", "Failed", "Canceled"]},
                "startTime": _STRING,
                "endTime": _STRING,
                "percentComplete": {"type": "number", "minimum": 0, "maximum": 100},
                "error": {"type": "object"},
            },
        ),
    }
    for name, wanted in (
        ("VirtualMachine", _machine()),
        ("VirtualMachineScaleSet", _scale_set()),
        ("VirtualMachineExtension", _extension()),
    ):
        schemas[f"{name}Request"] = _object(wanted, ("location",))
        schemas[f"{name}Patch"] = _object(wanted)
        schemas[name] = _answered()
        schemas[f"{name}List"] = _object({"value": {"type": "array", "items": _ref(name)}, "nextLink": _STRING})
    schemas["VirtualMachineExtensionRequest"]["required"] = ["location", "properties"]
    return schemas


def _common() -> Schema:
    identity = _object({"type": {"type": "string", "enum": list(IDENTITY_TYPES)}}, ("type",))
    return {
        "location": _STRING,
        "tags": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}},
        "identity": identity,
    }


def _machine() -> Schema:
    hardware = _object({"vmSize": _STRING})
    return {**_common(), "properties": _object({"hardwareProfile": hardware, "osProfile": {"type": "object"}})}


def _scale_set() -> Schema:
    capacity = {"type": "integer", "minimum": 0, "maximum": CAPACITY_MAX}
    profile = _object({"osProfile": {"type": "object"}})
    properties = _object({"virtualMachineProfile": profile})
    return {**_common(), "sku": _object({"name": _STRING, "capacity": capacity}), "properties": properties}


def _extension() -> Schema:
    common = {name: schema for name, schema in _common().items() if name != "identity"}
    return {**common, "properties": _object(_EXTENSION_PROPERTIES, ("publisher", "type"))}


def _answered() -> Schema:
    properties = _object({"provisioningState": _STRING}, ("provisioningState",))
    fields = {"id": _STRING, "name": _STRING, "type": _STRING, "location": _STRING, "properties": properties}
    return _object(fields, ("id", "name", "type", "location", "properties"))
