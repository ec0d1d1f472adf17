"""The routes of the blob service: data plane, storage Resource Manager, operator API."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any

from pydantic import BaseModel, WithJsonSchema, create_model

from services.blobstore import documents as shapes
from services.blobstore import errors
from services.blobstore.arm import bodies as bodies
from services.blobstore.data.http_rules import CONDITIONS
from services.blobstore.settings import ACCOUNT_NAME, RESERVED, AccountBody, ContainerSeed
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
from services.chassis.errors import INVALID_SETTING, ErrorSpec
from services.chassis.openapi import Api
from services.chassis.routes import Body, BodyShape, Parameter, ResponseSpec, Route, named

TITLE = "Aftershock blob service (Microsoft.Storage)"
OCTETS = "application/octet-stream"
XML = "application/xml"
BLOB = "/{account}/{container}/{blob}"
CONTAINER = "/{account}/{container}"
ADMIN = "/admin/accounts"
STORAGE = "providers/Microsoft.Storage"
ACCOUNTS = f"{GROUP}/{STORAGE}/storageAccounts"
CONTAINERS = f"{ACCOUNTS}/{{account}}/blobServices/default/containers"

PATTERNS = {
    "account": "(?!(?i:" + "|".join(RESERVED) + r")(?:\.json)?(?:/|$))[^/]+",
    "container": "[^/]+",
    "blob": ".+",
}
ADMIN_PATTERNS = {**PATTERNS, "account": "[^/]+"}
PATH_SHAPES: Mapping[str, BodyShape] = {
    "account": {"type": "string", "pattern": ACCOUNT_NAME},
    "container": {"type": "string", "pattern": r"^[a-z0-9]{3,63}$"},
    "blob": {"type": "string", "pattern": r"^[A-Za-z0-9._-]{1,100}$"},
}

DENIED = (
    errors.PUBLIC_ACCESS_NOT_PERMITTED,
    errors.RESOURCE_NOT_FOUND,
    errors.ACCOUNT_NOT_FOUND,
    errors.CONTAINER_NOT_FOUND,
    errors.NO_AUTHENTICATION,
    errors.INVALID_TOKEN,
    errors.AUTHENTICATION_FAILED,
    errors.SERVER_BUSY,
)
"""Errors of the authorisation step, which precedes all other checks of a request."""

ASKED_BADLY = (errors.INVALID_HEADER, errors.INVALID_QUERY, errors.UNSUPPORTED_QUERY, errors.QUERY_OUT_OF_RANGE)
CONDITIONAL = (errors.NOT_MODIFIED, errors.CONDITION_NOT_MET, errors.UNSATISFIABLE_CONDITION)
READ = (*DENIED, *ASKED_BADLY, errors.BLOB_NOT_FOUND, *CONDITIONAL, errors.INVALID_RANGE)
WRITE = (*DENIED, *ASKED_BADLY, errors.INVALID_NAME, errors.NAME_LENGTH)
STORE = (
    errors.MISSING_HEADER,
    errors.MISSING_LENGTH,
    errors.MD5_MISMATCH,
    errors.BODY_TOO_LARGE,
    errors.BLOB_EXISTS,
    errors.CONDITION_NOT_MET,
)
ARM_EVERY = (
    MISSING_API_VERSION,
    INVALID_API_VERSION,
    errors.ARM_INVALID_TOKEN,
    errors.ARM_SUBSCRIPTION_NOT_FOUND,
    errors.ARM_GROUP_INVALID,
    errors.ARM_NAME_INVALID,
    errors.ARM_THROTTLED,
    errors.ARM_KEYS_UNAVAILABLE,
)
ARM_CHANGE = (
    errors.ARM_INVALID_PROPERTY,
    errors.ARM_UNKNOWN_MEMBER,
    LOCATION_NOT_AVAILABLE,
    errors.ARM_NAME_TAKEN,
    errors.ARM_LOCKED,
)


def api(readers: Any, writers: Any, arm: Any, admin: Any, *, subscription: str, region: str) -> Api:
    """The route table. Package reads come first because nearly all requests match them.

    The document names the only subscription and location, so that generated requests are accepted.
    """
    rows = [*_data_plane(readers, writers), *_admin(admin)]
    rows += [_of_arm(row, subscription) for row in (*_accounts(arm, region), *_containers(arm))]
    return Api(TITLE, tuple(rows), _dialect)


def _dialect(route: Route) -> ResponseSpec:
    if route.is_arm or route.path.startswith("/admin"):
        return ARM_DIALECT
    return ResponseSpec("refused", shapes.BLOB_ERROR, XML)


# --- data plane ------------------------------------------------------------------------------------------


def _data_plane(readers: Any, writers: Any) -> list[Route]:
    ranges = ("Range", "x-ms-range", "x-ms-range-get-content-md5", *CONDITIONS)
    whole = ResponseSpec("the blob, or nothing to HEAD", shapes.BYTES, "*/*")
    read = {
        200: whole,
        206: ResponseSpec("the range", shapes.BYTES, "*/*", {"Content-Range": "which bytes of how many"}),
    }
    stored = {201: ResponseSpec("stored", headers={"ETag": "of the blob", "Last-Modified": "when"})}
    octets, parts = Body(shapes.BYTES, media=OCTETS), ("x-ms-blob-type", "Content-MD5", *CONDITIONS)
    conditions = (*WRITE, errors.BLOB_NOT_FOUND, errors.CONDITION_NOT_MET)
    return [
        _blob("GET", BLOB, "get_blob", readers.read_blob, read, READ, ranges),
        _blob("HEAD", BLOB, "get_blob_properties", readers.read_blob, read, READ, ranges),
        _blob("PUT", BLOB, "put_blob", writers.put_blob, stored, (*WRITE, *STORE), parts, octets),
        _blob(
            "DELETE", BLOB, "delete_blob", writers.delete_blob, {202: ResponseSpec("deleted")}, conditions, CONDITIONS
        ),
        *_container_calls(readers, writers, read, ranges),
        _blob("GET", "/{account}", "get_account_itself", readers.read_account, {}, (*DENIED, *ASKED_BADLY)),
    ]


def _container_calls(
    readers: Any, writers: Any, read: Mapping[int, ResponseSpec], ranges: tuple[str, ...]
) -> list[Route]:
    """Calls on a container or, without `restype`, on a blob of the root container, with any media type."""
    created, kind = {201: ResponseSpec("created")}, _queries("restype", "comp")
    listing = (*kind, *_queries("prefix", "delimiter", "marker", "startFrom", "include", "maxresults"))
    new = (*WRITE, errors.CONTAINER_EXISTS)
    gone = {202: ResponseSpec("deleted")}
    return [
        _blob("GET", CONTAINER, "list_blobs", readers.read_container, read, READ, ranges, query=listing),
        _blob("HEAD", CONTAINER, "get_container_properties", readers.read_container, read, READ, ranges, query=kind),
        _blob("PUT", CONTAINER, "create_container", writers.put_container, created, new, query=kind),
        _blob("DELETE", CONTAINER, "delete_container", writers.delete_container, gone, WRITE, query=kind),
    ]


def _blob(
    method: str,
    path: str,
    operation_id: str,
    handler: Any,
    replies: Mapping[int, ResponseSpec],
    refusals: tuple[ErrorSpec, ...],
    headers: tuple[str, ...] = (),
    body: Body | None = None,
    query: tuple[Parameter, ...] = (),
) -> Route:
    common = ("x-ms-version", "x-ms-client-request-id", "Authorization")
    return named(
        method,
        path,
        operation_id,
        handler,
        replies,
        refusals,
        body,
        query,
        access="client",
        headers=_queries(*headers, *common),
        path_shapes=PATH_SHAPES,
        patterns=PATTERNS,
        slash=path != BLOB,
        tag="blobs",
    )


def _queries(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name) for name in names)


# --- resource manager ------------------------------------------------------------------------------------


@cache
def _create_body(region: str) -> type[BaseModel]:
    here = Annotated[str, WithJsonSchema({"const": region})]
    model: type[BaseModel] = create_model("AccountCreate", __base__=bodies.AccountCreate, location=(here, ...))
    return model


def _accounts(arm: Any, region: str) -> list[Route]:
    account = f"{ACCOUNTS}/{{account}}"
    one = {200: ResponseSpec("the account", shapes.AccountResource)}
    many = {200: ResponseSpec("all", shapes.AccountResourceList)}
    gone = {200: ResponseSpec("deleted"), 204: ResponseSpec("was not there")}
    answer = {200: ResponseSpec("whether it is free", shapes.NameAnswer)}
    provider, unknown = f"{SUBSCRIPTION}/{STORAGE}", (RESOURCE_NOT_FOUND,)
    check = f"{provider}/checkNameAvailability"
    question, change = Body(bodies.NameQuestion, by_handler=True), (*ARM_CHANGE, *unknown)
    update = Body(bodies.AccountUpdate, by_handler=True)
    new = Body(_create_body(region), by_handler=True)
    return [
        _arm("GET", f"{provider}/storageAccounts", "list_accounts", arm.call(arm.list_accounts), many),
        _arm("POST", check, "check_name", arm.call(arm.check_name), answer, ARM_CHANGE, question),
        _arm("GET", ACCOUNTS, "list_accounts_of_group", arm.call(arm.list_accounts), many),
        _arm("GET", account, "get_account", arm.call(arm.get_account), one, unknown),
        _arm("PUT", account, "create_account", arm.call(arm.put_account), one, change, new),
        _arm("PATCH", account, "update_account", arm.call(arm.patch_account), one, change, update),
        _arm("DELETE", account, "delete_account", arm.call(arm.delete_account), gone),
    ]


def _containers(arm: Any) -> list[Route]:
    container = f"{CONTAINERS}/{{container}}"
    one = {200: ResponseSpec("the container", shapes.ContainerResource)}
    many = {200: ResponseSpec("all", shapes.ContainerResourceList)}
    created = {**one, 201: ResponseSpec("created", shapes.ContainerResource)}
    gone = {200: ResponseSpec("deleted"), 204: ResponseSpec("was not there")}
    unknown = (RESOURCE_NOT_FOUND, errors.ARM_CONTAINER_NOT_FOUND)
    change = (*unknown, *ARM_CHANGE, errors.ARM_CONTAINER_NAME_INVALID)
    body = Body(bodies.ContainerBody, by_handler=True)
    return [
        _arm("GET", CONTAINERS, "list_containers", arm.call(arm.list_containers), many, unknown),
        _arm("GET", container, "get_container", arm.call(arm.get_container), one, unknown),
        _arm("PUT", container, "create_container_resource", arm.call(arm.put_container), created, change, body),
        _arm("PATCH", container, "update_container", arm.call(arm.patch_container), one, change, body),
        _arm("DELETE", container, "delete_container_resource", arm.call(arm.delete_container), gone, unknown),
    ]


_arm = partial(named, access="client", tag="Microsoft.Storage")


def _of_arm(row: Route, subscription: str) -> Route:
    """What all Resource Manager calls have."""
    shapes = {**SCOPE, **PATH_SHAPES, "subscription": {"const": subscription}}
    return replace(row, errors=(*ARM_EVERY, *row.errors), query=(API_VERSION,), path_shapes=shapes)


# --- operators -------------------------------------------------------------------------------------------


def _admin(admin: Any) -> list[Route]:
    account, container = f"{ADMIN}/{{account}}", f"{ADMIN}/{{account}}/{{container}}"
    blob = f"{container}/{{blob}}"
    seen = ResponseSpec("as an operator sees it", shapes.AccountSummary)
    many = {200: ResponseSpec("all", shapes.AccountSummaryList)}
    put = ResponseSpec("it is there", shapes.ContainerStored)
    seeded, placed = {200: seen, 201: seen}, {200: put, 201: put}
    gone, unknown = {204: ResponseSpec("deleted")}, (errors.ACCOUNT_NOT_FOUND, errors.CONTAINER_NOT_FOUND)
    seed, level = (Body(shape, required=False, by_handler=True) for shape in (AccountBody, ContainerSeed))
    octets, stored = Body(shapes.BYTES, media=OCTETS), {201: ResponseSpec("stored", shapes.BlobStored)}
    names = (INVALID_SETTING, errors.INVALID_NAME, errors.NAME_LENGTH)
    taken = (errors.ARM_NAME_TAKEN,)
    store = (*unknown, *names, *STORE, errors.INVALID_HEADER)
    return [
        _operator("GET", ADMIN, "admin_list_accounts", admin.list_accounts, many),
        _operator("GET", account, "admin_get_account", admin.get_account, {200: seen}, unknown),
        _operator("PUT", account, "admin_seed_account", admin.put_account, seeded, (INVALID_SETTING, *taken), seed),
        _operator("DELETE", account, "admin_delete_account", admin.delete_account, gone, unknown),
        _operator("PUT", container, "admin_seed_container", admin.put_container, placed, (*unknown, *names), level),
        _operator("DELETE", container, "admin_delete_container", admin.delete_container, gone, unknown),
        _operator("PUT", blob, "admin_store_blob", admin.put_blob, stored, store, octets),
        _operator("DELETE", blob, "admin_delete_blob", admin.delete_blob, gone, (*unknown, errors.BLOB_NOT_FOUND)),
    ]


_operator = partial(named, access="project", path_shapes=PATH_SHAPES, patterns=ADMIN_PATTERNS, tag="admin")
