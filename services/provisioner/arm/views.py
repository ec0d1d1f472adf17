"""Response bodies: resources, instance views and operations in Azure's format."""

from datetime import UTC, datetime
from typing import Any

from services.chassis.streams import stable_uuid
from services.provisioner.ids import PROVIDER, TYPES, operation_path, subscription_of
from services.provisioner.state import (
    CREATING,
    DELETING,
    EXTENSION,
    FAILED,
    SUCCEEDED,
    UPDATING,
    VM,
    VMSS,
    ProvisioningJob,
    ProvisioningOperation,
    Resource,
)

JsonView = dict[str, Any]
BUSY = {CREATING: "creating", UPDATING: "updating", DELETING: "deleting"}


def iso(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, tz=UTC).isoformat(timespec="microseconds")


def resource(item: Resource) -> JsonView:
    """The resource without its instance view."""
    view: JsonView = {
        "name": item.name,
        "id": item.id,
        "type": f"{PROVIDER}/{TYPES[item.kind]}",
        **item.body,
        "location": item.location,
    }
    if "identity" in item.body:
        view["identity"] = _identity(item)
    view["properties"] = {**item.body.get("properties", {}), "provisioningState": item.state}
    if item.kind == VM:
        view["properties"]["vmId"] = stable_uuid(item.key)
    if item.kind == VMSS:
        view["properties"]["uniqueId"] = stable_uuid(item.key)
        view["sku"] = {"capacity": 1, **item.body.get("sku", {})}
    if item.kind != EXTENSION:
        view["properties"]["timeCreated"] = iso(item.created)
    return view


def _identity(item: Resource) -> JsonView:
    """The identity section: ids of the system-assigned identity, and of each user-assigned one by its resource id."""
    view: JsonView = dict(item.body["identity"])
    if item.client_id and "SystemAssigned" in view.get("type", ""):
        view["principalId"], view["tenantId"] = item.principal_id, item.tenant_id
    users: dict[str, Any] = view.get("userAssignedIdentities") or {}
    if users:
        ids = {"principalId": item.principal_id, "clientId": item.client_id} if item.client_id else {}
        view["userAssignedIdentities"] = {
            name: dict(ids) if name.rsplit("/", 1)[-1] == item.identity else {} for name in users
        }
    return view


def provisioning_status(state: str, at: float, error_message: str = "") -> JsonView:
    """One `InstanceViewStatus`."""
    code = BUSY.get(state, state.lower())
    level = "Error" if state == FAILED else "Info"
    words = {SUCCEEDED: "Provisioning succeeded", FAILED: "Provisioning failed"}
    view: JsonView = {
        "code": f"ProvisioningState/{code}",
        "level": level,
        "displayStatus": words.get(state, state),
        "time": iso(at),
    }
    if error_message:
        view["message"] = error_message
    return view


def machine_instance_view(item: Resource, extensions: list[Resource], at: float) -> JsonView:
    """The statuses of a machine and of its extensions, the platform's first."""
    statuses = [provisioning_status(item.state, at)]
    if item.power:
        power = {"code": f"PowerState/{item.power}", "level": "Info", "displayStatus": f"VM {item.power}"}
        statuses.append(power)
    views = [_package_view(item, package) for package in item.installed]
    views += [extension_instance_view(extension) for extension in extensions]
    agent = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready", "time": iso(at)}
    view: JsonView = {"statuses": statuses, "extensions": views}
    if item.power == "running":
        view["vmAgent"] = {"vmAgentVersion": "2.9.1.1", "statuses": [agent]}
    return view


def extension_instance_view(item: Resource) -> JsonView:
    """Name, type, version and status of an extension."""
    if item.installed:
        return _package_view(item, next(iter(item.installed)))
    properties = item.body["properties"]
    return {
        "name": item.name,
        "type": f"{properties['publisher']}.{properties['type']}",
        "typeHandlerVersion": properties.get("typeHandlerVersion", ""),
        "statuses": [provisioning_status(item.state, item.created)],
    }


def _package_view(item: Resource, package: str) -> JsonView:
    installed = item.installed[package]
    # An update in progress takes precedence over what was installed last.
    state = item.state if item.kind == EXTENSION and item.state in BUSY else installed["status"]
    return {
        "name": item.packages.get(package, item.name),
        "type": package.replace("/", "."),
        "typeHandlerVersion": installed["version"],
        "statuses": [provisioning_status(state, installed["time"], installed["message"])],
    }


def scale_set_instance_view(item: Resource, at: float) -> JsonView:
    """Number of machines by state, for the scale set and for each extension."""
    machines = [{"code": f"ProvisioningState/{BUSY.get(item.state, item.state.lower())}", "count": item.instances}]
    extensions = [
        {
            "name": item.packages.get(package, package),
            "statusesSummary": [
                {"code": f"ProvisioningState/{installed['status'].lower()}", "count": item.instances},
            ],
        }
        for package, installed in item.installed.items()
    ]
    return {
        "virtualMachine": {"statusesSummary": machines},
        "extensions": extensions,
        "statuses": [provisioning_status(item.state, at)],
    }


def operation(item: ProvisioningOperation, job: ProvisioningJob | None, region: str) -> JsonView:
    """The response to a poll; `error` and `endTime` after the end."""
    view: JsonView = {
        "id": operation_path(subscription_of(item.resource), region, item.id),
        "name": item.id,
        "status": item.status,
        "startTime": iso(item.accepted),
    }
    if item.ended is None:
        done = job.index if job else 0
        view["percentComplete"] = round(100.0 * done / len(item.steps), 1) if item.steps else 0.0
        return view
    view["endTime"] = iso(item.ended)
    view["percentComplete"] = 100.0
    if item.error:
        view["error"] = item.error
    return view
