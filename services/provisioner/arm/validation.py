"""Validation of requests. An invalid body is refused with the field and the rule; a valid one is stored as sent.

Fields without effect here (disks, networks, images) are stored and returned unchecked; secrets are dropped.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.chassis.arm import LOCATION_NOT_AVAILABLE
from services.chassis.errors import ServiceError
from services.provisioner.errors import (
    ARTIFACT_NOT_FOUND,
    INVALID_SUBSCRIPTION,
    LOCATION_REQUIRED,
    invalid,
)
from services.provisioner.ids import Ref
from services.provisioner.state import EXTENSION, VMSS

TENANT_TAG = "aftershock-tenant"
PACKAGE_TAG = "aftershock-extension"
TAGS_MAX, TAG_NAME_LENGTH_MAX, TAG_VALUE_LENGTH_MAX = 50, 512, 256
CAPACITY_MAX = 1000
READ_ONLY = ("id", "name", "type", "etag", "systemData")
READ_ONLY_PROPERTIES = ("provisioningState", "vmId", "timeCreated", "instanceView", "uniqueId")
IDENTITY_TYPES = ("None", "SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?")
_SUBSCRIPTION = re.compile(r"[A-Za-z0-9-]{1,64}")
_GROUP = re.compile(r"[A-Za-z0-9._()-]{1,90}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HANDLER_VERSION = re.compile(r"\d+(\.\d+){0,3}")
_PLAIN = re.compile(r"[\s()-]")

JsonBody = dict[str, Any]


def check_name(ref: Ref) -> None:
    """Checks the names in the path of a resource to be created."""
    if not _SUBSCRIPTION.fullmatch(ref.subscription):
        raise ServiceError(INVALID_SUBSCRIPTION, value=ref.subscription)
    if not _GROUP.fullmatch(ref.group):
        raise invalid("resourceGroupName", "1 to 90 letters, digits, '-', '_', '.', '(' or ')'")
    target = {EXTENSION: "vmExtensionName", VMSS: "vmScaleSetName"}.get(ref.kind, "vmName")
    if not _NAME.fullmatch(ref.name):
        raise invalid(target, "1 to 64 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit")


def clean(ref: Ref, body: object, region: str, packages: Mapping[str, object], *, partial: bool) -> JsonBody:
    """Validates a body and returns the part to store.

    Raises:
        ServiceError: 400 or 404 with the field and the rule.
    """
    if not isinstance(body, dict):
        raise invalid("body", "it must be a JSON object")
    kept = {name: value for name, value in body.items() if name not in READ_ONLY}
    if not partial:
        kept = _merge({}, kept)  # null means absent
    _check_location(ref, kept, region, required=not partial)
    _typed(kept, "properties", dict)
    _check_tags(kept, packages)
    _check_identity(kept)
    properties = dict(kept.get("properties") or {})
    for name in READ_ONLY_PROPERTIES:
        properties.pop(name, None)
    if ref.kind == EXTENSION:
        _check_extension(properties, region, packages, partial=partial)
    elif ref.kind == VMSS:
        _check_scale_set(kept, properties, region, packages)
    else:
        _typed(properties, "hardwareProfile", dict, "properties.")
        _typed(properties.get("hardwareProfile") or {}, "vmSize", str, "properties.hardwareProfile.")
        _drop_password(properties, "properties.")
    if properties or not partial:
        kept["properties"] = properties
    else:
        kept.pop("properties", None)
    return kept


def tenant_of(body: JsonBody) -> str:
    tags: dict[str, str] = body.get("tags") or {}
    return tags.get(TENANT_TAG, "")


def packages_of(ref: Ref, body: JsonBody) -> dict[str, str]:
    """publisher/type → extension name, for all packages that this resource fetches during provisioning."""
    properties = body.get("properties") or {}
    if ref.kind == EXTENSION:
        return {f"{properties['publisher']}/{properties['type']}": ref.name}
    found: dict[str, str] = {}
    platform = (body.get("tags") or {}).get(PACKAGE_TAG)
    if platform:
        found[platform] = platform.partition("/")[2]
    for item in _profile_extensions(properties) if ref.kind == VMSS else ():
        details = item["properties"]
        found[f"{details['publisher']}/{details['type']}"] = item["name"]
    return found


def _typed(holder: Mapping[str, Any], name: str, type_: type, path: str = "") -> None:
    value = holder.get(name)
    # bool is an int in Python, but not in JSON
    if value is not None and (not isinstance(value, type_) or (type_ is int and isinstance(value, bool))):
        words = {dict: "an object", str: "a string", list: "an array", bool: "true or false", int: "an integer"}
        raise invalid(path + name, f"it must be {words[type_]}")


def _check_location(ref: Ref, body: JsonBody, region: str, *, required: bool) -> None:
    location = body.get("location")
    if location is None:
        if required:
            raise ServiceError(LOCATION_REQUIRED, target="location")
        return
    if not isinstance(location, str) or _PLAIN.sub("", location).lower() != region:
        raise ServiceError(LOCATION_NOT_AVAILABLE, target="location", location=location, type=ref.type, region=region)


def _check_tags(body: JsonBody, packages: Mapping[str, object]) -> None:
    tags = body.get("tags")
    if tags is None:
        return
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise invalid("tags", "it must map names to strings")
    if len(tags) > TAGS_MAX:
        raise invalid("tags", f"at most {TAGS_MAX} tags")
    for name, value in tags.items():
        if len(name) > TAG_NAME_LENGTH_MAX or len(value) > TAG_VALUE_LENGTH_MAX:
            raise invalid(f"tags.{name[:40]}", f"at most {TAG_NAME_LENGTH_MAX}/{TAG_VALUE_LENGTH_MAX} characters")
    if TENANT_TAG in tags and not _LABEL.fullmatch(tags[TENANT_TAG]):
        raise invalid(f"tags.{TENANT_TAG}", "1 to 64 letters, digits, '-', '_' or '.'")
    if PACKAGE_TAG in tags and tags[PACKAGE_TAG] not in packages:
        raise invalid(f"tags.{PACKAGE_TAG}", f"unknown package {tags[PACKAGE_TAG]!r}; known: {', '.join(packages)}")


def _check_identity(body: JsonBody) -> None:
    _typed(body, "identity", dict)
    identity = body.get("identity")
    if not identity:
        return
    if identity.get("type") not in IDENTITY_TYPES:
        raise invalid("identity.type", f"one of {', '.join(map(repr, IDENTITY_TYPES))}")
    _typed(identity, "userAssignedIdentities", dict, "identity.")
    if identity["type"] == "UserAssigned" and not identity.get("userAssignedIdentities"):
        raise invalid("identity.userAssignedIdentities", "required when identity.type is UserAssigned")
    kept = {name: identity[name] for name in ("type", "userAssignedIdentities") if name in identity}
    body["identity"] = kept


_EXTENSION_FIELDS: dict[str, type] = {
    "typeHandlerVersion": str,
    "autoUpgradeMinorVersion": bool,
    "enableAutomaticUpgrade": bool,
    "suppressFailures": bool,
    "settings": dict,
    "provisionAfterExtensions": list,
    "forceUpdateTag": str,
}


def _check_extension(
    properties: JsonBody, region: str, packages: Mapping[str, object], *, partial: bool, path: str = "properties."
) -> None:
    properties.pop("protectedSettings", None)
    for name in ("publisher", "type"):
        _typed(properties, name, str, path)
        if not partial and not properties.get(name):
            raise invalid(path + name, "it is required")
    for name, type_ in _EXTENSION_FIELDS.items():
        _typed(properties, name, type_, path)
    version = properties.get("typeHandlerVersion")
    if version is not None and not _HANDLER_VERSION.fullmatch(version):
        raise invalid(f"{path}typeHandlerVersion", "one to four numbers with dots between")
    publisher, type_name = properties.get("publisher"), properties.get("type")
    if not partial and f"{publisher}/{type_name}" not in packages:
        target = f"{path}type"
        raise ServiceError(ARTIFACT_NOT_FOUND, target=target, publisher=publisher, type=type_name, location=region)


def _check_scale_set(body: JsonBody, properties: JsonBody, region: str, packages: Mapping[str, object]) -> None:
    _typed(body, "sku", dict)
    sku = body.get("sku") or {}
    _typed(sku, "name", str, "sku.")
    _typed(sku, "capacity", int, "sku.")
    if not 0 <= (sku.get("capacity") or 0) <= CAPACITY_MAX:
        raise invalid("sku.capacity", f"from 0 to {CAPACITY_MAX}")
    _typed(properties, "virtualMachineProfile", dict, "properties.")
    profile = properties.get("virtualMachineProfile") or {}
    path = "properties.virtualMachineProfile."
    _drop_password(profile, path)
    _typed(profile, "extensionProfile", dict, path)
    _typed(profile.get("extensionProfile") or {}, "extensions", list, f"{path}extensionProfile.")
    for number, item in enumerate(_profile_extensions(properties)):
        here = f"{path}extensionProfile.extensions[{number}]"
        if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
            raise invalid(f"{here}.name", "it is required")
        if not isinstance(item.get("properties"), dict):
            raise invalid(f"{here}.properties", "it must be an object")
        _check_extension(item["properties"], region, packages, partial=False, path=f"{here}.properties.")


def _profile_extensions(properties: JsonBody) -> list[Any]:
    profile = properties.get("virtualMachineProfile") or {}
    return (profile.get("extensionProfile") or {}).get("extensions") or []


def _drop_password(holder: JsonBody, path: str) -> None:
    _typed(holder, "osProfile", dict, path)
    if holder.get("osProfile"):
        holder["osProfile"] = {name: value for name, value in holder["osProfile"].items() if name != "adminPassword"}


def merged(before: JsonBody, patch: JsonBody) -> JsonBody:
    """Applies a PATCH to `before`: objects merge, `null` removes, other values and `tags` replace."""
    return {**_merge(before, {k: v for k, v in patch.items() if k != "tags"}), **_tags(before, patch)}


def _tags(before: JsonBody, patch: JsonBody) -> JsonBody:
    tags = patch.get("tags", before.get("tags"))
    return {} if tags is None else {"tags": tags}


def _merge(before: JsonBody, patch: JsonBody) -> JsonBody:
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = _merge(result[name], value)
        else:
            result[name] = _merge({}, value) if isinstance(value, dict) else value
    return result
