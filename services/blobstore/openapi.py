"""The OpenAPI 3.1 document at `/openapi.json`: what is answered to what, for test generators and readers.

Request bodies come from the models that check them, error statuses from the error table's rows; the rest is here.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.blobstore import arm_bodies as bodies
from services.blobstore import errors
from services.blobstore.admin import ContainerSeed
from services.blobstore.http_rules import CONDITIONS
from services.blobstore.settings import ACCOUNT_NAME, AccountSeed
from services.chassis.errors import ErrorSpec

Schema = dict[str, Any]

_MODELS: tuple[type[BaseModel], ...] = (
    bodies.AccountCreate,
    bodies.AccountUpdate,
    bodies.ContainerBody,
    bodies.NameQuestion,
    AccountSeed,
    ContainerSeed,
)
_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.Storage"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts"
_CONTAINERS = f"{_GROUP}/{{account}}/blobServices/default/containers"

_ARM_ERRORS = (
    errors.ARM_NO_API_VERSION,
    errors.ARM_INVALID_TOKEN,
    errors.ARM_SUBSCRIPTION_NOT_FOUND,
    errors.ARM_THROTTLED,
    errors.ARM_KEYS_UNAVAILABLE,
)
_ARM_CHANGE_ERRORS = (*_ARM_ERRORS, errors.ARM_NAME_TAKEN)
_READ_ERRORS = (
    errors.INVALID_HEADER,
    errors.INVALID_TOKEN,
    errors.AUTHENTICATION_FAILED,
    errors.BLOB_NOT_FOUND,
    errors.PUBLIC_ACCESS_NOT_PERMITTED,
    errors.SERVER_BUSY,
)
_BLOB_READ_ERRORS = (*_READ_ERRORS, errors.NOT_MODIFIED, errors.CONDITION_NOT_MET, errors.INVALID_RANGE)
_WRITE_ERRORS = (*_READ_ERRORS, errors.CONDITION_NOT_MET)
_BLOB_WRITE_ERRORS = (*_WRITE_ERRORS, errors.MISSING_LENGTH, errors.BODY_TOO_LARGE)


def document(subscription: str, region: str) -> Schema:
    """The whole document. The one subscription and location there are stand in it, so that a generator gets past."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aftershock blob service (Microsoft.Storage)", "version": "1"},
        "paths": {**_data_paths(), **_arm_paths(subscription), **_admin_paths()},
        "components": {"schemas": _schemas(region)},
    }


# --- paths -------------------------------------------------------------------------------------------


def _data_paths() -> Schema:
    blob = [ACCOUNT, CONTAINER, BLOB]
    reads = [*blob, *_headers("Range", "x-ms-range", "x-ms-range-get-content-md5", *CONDITIONS)]
    container = [*blob[:2], _query("restype"), _query("comp")]
    listing = [*container, *(_query(name) for name in ("prefix", "delimiter", "marker", "include", "maxresults"))]
    bytes_: Schema = {"application/octet-stream": {}}
    read = {"200": _answer("the blob", {"*/*": {}}), "206": _answer("the range", {"*/*": {}})}
    put_headers = _headers("x-ms-blob-type", "Content-MD5", *CONDITIONS)
    return {
        "/{account}/{container}/{blob}": {
            "get": _blob_operation("Get Blob", reads, read, _BLOB_READ_ERRORS),
            "head": _bodiless(_blob_operation("Get Blob Properties", reads, read, _BLOB_READ_ERRORS)),
            "put": _blob_operation("Put Blob", [*blob, *put_headers], _created(), _BLOB_WRITE_ERRORS, bytes_),
            "delete": _blob_operation("Delete Blob", [*blob, *_headers(*CONDITIONS)], _accepted(), _WRITE_ERRORS),
        },
        "/{account}/{container}": {
            "get": _blob_operation("List Blobs, Get Container Properties", listing, _listing(), _BLOB_READ_ERRORS),
            "head": _bodiless(_blob_operation("Container Properties", container, _listing(), _BLOB_READ_ERRORS)),
            "put": _blob_operation("Create Container", container, _created(), _WRITE_ERRORS),
            "delete": _blob_operation("Delete Container", container, _accepted(), _WRITE_ERRORS),
        },
        "/{account}": {"get": _blob_operation("Nothing here is readable", blob[:1], {}, _READ_ERRORS)},
    }


def _arm_paths(subscription: str) -> Schema:
    scope = {"name": "subscription", "in": "path", "required": True, "schema": {"const": subscription}}
    account, container = [ACCOUNT], [ACCOUNT, CONTAINER]
    paths = {
        f"{_SUBSCRIPTION}/storageAccounts": {"get": _arm_operation("List accounts", [], "AccountList", group=False)},
        f"{_SUBSCRIPTION}/checkNameAvailability": {
            "post": _arm_operation("Check a name", [], "NameAnswer", body="NameQuestion", group=False)
        },
        _GROUP: {"get": _arm_operation("List accounts of a group", [], "AccountList")},
        f"{_GROUP}/{{account}}": {
            "get": _arm_operation("Get account", account, "Account"),
            "put": _arm_operation("Create or update account", account, "Account", body="AccountCreate"),
            "patch": _arm_operation("Update account", account, "Account", body="AccountUpdate"),
            "delete": _arm_operation("Delete account", account, None),
        },
        _CONTAINERS: {"get": _arm_operation("List containers", account, "ContainerList")},
        f"{_CONTAINERS}/{{container}}": {
            "get": _arm_operation("Get container", container, "Container"),
            "put": _arm_operation("Create or update container", container, "Container", body="ContainerBody"),
            "patch": _arm_operation("Update container", container, "Container", body="ContainerBody"),
            "delete": _arm_operation("Delete container", container, None),
        },
    }
    return {path: {"parameters": [scope], **operations} for path, operations in paths.items()}


def _admin_paths() -> Schema:
    account, container, blob = [ACCOUNT], [CONTAINER], [BLOB]
    return {
        "/admin/accounts": {"get": _admin_operation("List accounts", [], ("200",))},
        "/admin/accounts/{account}": {
            "get": _admin_operation("Show account", account, ("200",)),
            "put": _admin_operation("Seed account", account, ("200", "201"), _json("AccountBody")),
            "delete": _admin_operation("Delete account", account, ("204",)),
        },
        "/admin/accounts/{account}/{container}": {
            "put": _admin_operation("Seed container", account + container, ("200", "201"), _json("ContainerSeed")),
            "delete": _admin_operation("Delete container", account + container, ("204",)),
        },
        "/admin/accounts/{account}/{container}/{blob}": {
            "put": _admin_operation(
                "Store blob", account + container + blob, ("201",), {"application/octet-stream": {}}
            ),
            "delete": _admin_operation("Delete blob", account + container + blob, ("204",)),
        },
    }


# --- operations --------------------------------------------------------------------------------------


def _blob_operation(
    summary: str,
    parameters: list[Schema],
    answers: Schema,
    refusals: tuple[ErrorSpec, ...],
    body: Schema | None = None,
) -> Schema:
    failures = {str(spec.status): _answer(spec.message, {"application/xml": _ref("BlobError")}) for spec in refusals}
    failures["304"] = _answer(errors.NOT_MODIFIED.message)
    operation = {
        "summary": summary,
        "parameters": [*parameters, *_headers("x-ms-version", "x-ms-client-request-id", "Authorization")],
        "responses": {**failures, **answers},
    }
    return {**operation, "requestBody": {"content": body}} if body else operation


def _bodiless(operation: Schema) -> Schema:
    """The same for HEAD: all statuses, no bodies."""
    responses = {status: _answer(answer["description"]) for status, answer in operation["responses"].items()}
    return {**operation, "responses": responses}


def _arm_operation(
    summary: str, parameters: list[Schema], answer: str | None, *, body: str | None = None, group: bool = True
) -> Schema:
    scope = [_path("group", r"^[A-Za-z0-9._()-]{1,90}$")] if group else []
    version = {"name": "api-version", "in": "query", "required": True}
    version["schema"] = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$"}
    refusals = _ARM_CHANGE_ERRORS if body else _ARM_ERRORS
    responses = {str(spec.status): _answer(spec.message, _json("ArmError")) for spec in refusals}
    if answer is None:
        responses |= {"200": _answer("deleted"), "204": _answer("was not there")}
    else:
        responses["200"] = _answer("ok", _json(answer))
    if answer == "Container" and body:
        responses["201"] = _answer("created", _json(answer))
    operation = {"summary": summary, "parameters": [*scope, *parameters, version], "responses": responses}
    return {**operation, "requestBody": {"required": True, "content": _json(body)}} if body else operation


def _admin_operation(
    summary: str, parameters: list[Schema], statuses: tuple[str, ...], body: Schema | None = None
) -> Schema:
    answers = {status: _answer("done", None if status == "204" else {"application/json": {}}) for status in statuses}
    failures = {status: _answer("refused", _json("ArmError")) for status in ("400", "404", "409", "411", "413", "422")}
    operation = {"summary": summary, "parameters": parameters, "responses": {**failures, **answers}}
    return {**operation, "requestBody": {"content": body}} if body else operation


# --- parts -------------------------------------------------------------------------------------------


def _answer(description: str, content: Schema | None = None) -> Schema:
    return {"description": description, **({"content": content} if content else {})}


def _created() -> Schema:
    return {"201": _answer("created")}


def _accepted() -> Schema:
    return {"202": _answer("deleted")}


def _listing() -> Schema:
    """A container, or without `restype` a blob of the root container, which can have any type."""
    return {"200": _answer("a listing, or nothing", {"application/xml": {}, "*/*": {}}), "206": _answer("a range")}


def _json(schema: str) -> Schema:
    return {"application/json": _ref(schema)}


def _ref(schema: str) -> Schema:
    return {"schema": {"$ref": f"#/components/schemas/{schema}"}}


def _path(name: str, pattern: str = r"^[^/]+$") -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _query(name: str) -> Schema:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _headers(*names: str) -> list[Schema]:
    return [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names]


ACCOUNT = _path("account", ACCOUNT_NAME)
CONTAINER = _path("container", r"^[a-z0-9]{3,63}$")
BLOB = _path("blob", r"^[A-Za-z0-9._-]{1,100}$")


def _schemas(region: str) -> Schema:
    _, generated = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    schemas: Schema = dict(generated["$defs"])
    schemas["AccountCreate"]["properties"]["location"] = {"const": region}
    seed = schemas["AccountSeed"]
    named = {"properties": {name: value for name, value in seed["properties"].items() if name != "name"}}
    schemas["AccountBody"] = {**seed, **named, "required": [], "title": "AccountBody"}
    text = {"type": "string"}
    resource = {"id": text, "name": text, "type": text, "properties": {"type": "object"}}
    schemas["Account"] = _object(**resource, location=text, kind=text, sku={"type": "object"}, tags={"type": "object"})
    schemas["Container"] = _object(**resource, etag=text)
    schemas["AccountList"] = _object(value={"type": "array", "items": {"$ref": "#/components/schemas/Account"}})
    schemas["ContainerList"] = _object(value={"type": "array", "items": {"$ref": "#/components/schemas/Container"}})
    schemas["NameAnswer"] = {**_object(nameAvailable={"type": "boolean"}, reason=text, message=text)}
    schemas["NameAnswer"]["required"] = ["nameAvailable"]
    schemas["ArmError"] = _object(error={**_object(code=text, message=text, target=text), "required": ["code"]})
    schemas["BlobError"] = {**_object(Code=text, Message=text), "xml": {"name": "Error"}}
    return schemas


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
