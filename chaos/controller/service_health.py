"""An alert in the shape of an Azure Service Health activity-log alert (common webhook schema).

Fields and nesting: MicrosoftDocs, activity-log-alerts-webhook and service-health-notifications-properties, as listed
in docs/azure-api.md §4. Level Error means several regions, Warning a subset.
"""

import json
from typing import Any

from chaos.scenarios.model import Scenario
from services.chassis.clock import iso
from services.chassis.streams import stable_uuid

OPERATION = "Microsoft.ServiceHealth/incident/action"
SERVICE_NAMES = {
    "identity": "Managed identities for Azure resources",
    "provisioner": "Virtual Machines",
    "blobstore": "Storage",
}
TRACKING_ID = "FNJ8-VQZ"


def message(alert: dict[str, Any], scenario: Scenario, now_epoch_s: float) -> dict[str, Any]:
    """`alert` is one of Alertmanager's; times are ISO 8601."""
    labels, notes = alert.get("labels", {}), alert.get("annotations", {})
    region = next((r.display for r in scenario.regions if r.name == labels.get("region")), "Global")
    service = SERVICE_NAMES.get(labels.get("service", ""), SERVICE_NAMES["identity"])
    stage = "Resolved" if alert.get("status") == "resolved" else "Active"
    name = labels.get("alertname", "alert")
    event_id = stable_uuid(f"alert:{name}:{region}:{alert.get('startsAt', '')}")
    log = {
        "channels": "Admin",
        "correlationId": event_id,
        "description": f"{stage}: {service} - {region}",
        "eventSource": "ServiceHealth",
        "eventTimestamp": iso(now_epoch_s),
        "eventDataId": event_id,
        "level": "Error" if region == "Global" else "Warning",
        "operationName": OPERATION,
        "operationId": event_id,
        "properties": _properties(service, region, stage, notes, alert, event_id),
        "status": stage,
        "subscriptionId": stable_uuid("subscription"),
        "submissionTimestamp": iso(now_epoch_s),
    }
    return {
        "schemaId": "Microsoft.Insights/activityLogs",
        "data": {"status": "Activated", "context": {"activityLog": log}, "properties": {}},
    }


def _properties(
    service: str, region: str, stage: str, notes: dict[str, Any], alert: dict[str, Any], event_id: str
) -> dict[str, str]:
    title = str(notes.get("summary", "Availability impact"))
    impacted = [{"ImpactedRegions": [{"RegionName": region}], "ServiceName": service}]
    return {
        "title": title,
        "service": service,
        "region": region,
        "communication": str(notes.get("description", title)),
        "incidentType": "Incident",
        "trackingId": TRACKING_ID,
        "impactStartTime": str(alert.get("startsAt", "")),
        "impactedServices": json.dumps(impacted),
        "defaultLanguageTitle": title,
        "defaultLanguageContent": title,
        "stage": stage,
        "communicationId": event_id,
        "version": "0.1.1",
    }
