"""An alert as an Azure Service Health activity-log alert, in the format of its webhook.

Fields and nesting: MicrosoftDocs, activity-log-alerts-webhook and service-health-notifications-properties, as listed
in docs/azure-api.md §4. Level Error means several regions, Warning a subset. The states of one incident share their
correlation and tracking ids; each state is a separate event with its own id.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from chaos.experiment.alerts import default_alerts
from chaos.scenarios.model import Scenario
from services.chassis.clock import iso
from services.chassis.streams import stable_uuid
from services.clients.identity.client import SUBSCRIPTION

OPERATION = "Microsoft.ServiceHealth/incident/action"
SERVICE_NAMES = {
    "identity": "Managed identities for Azure resources",
    "provisioner": "Virtual Machines",
    "blobstore": "Storage",
    "router": "Traffic Manager",
    "controller": "Azure Policy",
}
"""Service Health names of the services that alerts refer to; the controller runs the policy job."""

UNKNOWN_SERVICE = "Microsoft Azure"
EVERYWHERE = "Global"
TRACKING_ID = "FNJ8-VQZ"
HealthStage = Literal["Active", "Resolved"]


class Alert(BaseModel):
    """The used fields of an Alertmanager alert."""

    status: Literal["firing", "resolved"] = "firing"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    startsAt: datetime | None = None
    endsAt: datetime | None = None

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "alert")

    @property
    def stage(self) -> HealthStage:
        return "Resolved" if self.status == "resolved" else "Active"

    @property
    def service(self) -> str:
        """The service by label, otherwise by the rule of that name."""
        service = self.labels.get("service") or _services().get(self.name, "")
        return SERVICE_NAMES.get(service, UNKNOWN_SERVICE)


@cache
def _services() -> dict[str, str]:
    """Service by rule name."""
    return {rule.name: rule.service for rule in default_alerts()}


def message(alert: Alert, scenario: Scenario, now_epoch_s: float) -> dict[str, Any]:
    """The body of the webhook request."""
    region = next((r.display for r in scenario.regions if r.name == alert.labels.get("region")), EVERYWHERE)
    started = alert.startsAt.timestamp() if alert.startsAt else now_epoch_s
    incident = f"alert:{alert.name}:{region}:{started}"
    correlation = stable_uuid(incident)
    log = {
        "channels": "Admin",
        "correlationId": correlation,
        "description": f"{alert.stage}: {alert.service} - {region}",
        "eventSource": "ServiceHealth",
        "eventTimestamp": iso(now_epoch_s),
        "eventDataId": stable_uuid(f"{incident}:{alert.stage}"),
        "level": "Error" if region == EVERYWHERE else "Warning",
        "operationName": OPERATION,
        "operationId": correlation,
        "properties": _properties(alert, region, incident, started, now_epoch_s),
        "status": alert.stage,
        "subStatus": None,
        "subscriptionId": SUBSCRIPTION,
        "submissionTimestamp": iso(now_epoch_s),
    }
    return {
        "schemaId": "Microsoft.Insights/activityLogs",
        "data": {"status": "Activated", "context": {"activityLog": log}, "properties": {}},
    }


def _properties(alert: Alert, region: str, incident: str, started: float, now_epoch_s: float) -> dict[str, str]:
    title = alert.annotations.get("summary", "Availability impact")
    text = alert.annotations.get("description", title)
    impacted = [{"ImpactedRegions": [{"RegionName": region}], "ServiceName": alert.service}]
    properties = {
        "title": title,
        "service": alert.service,
        "region": region,
        "communication": text,
        "incidentType": "Incident",
        "trackingId": TRACKING_ID,
        "impactStartTime": iso(started),
        "impactedServices": json.dumps(impacted),
        "defaultLanguageTitle": title,
        "defaultLanguageContent": text,
        "stage": alert.stage,
        "communicationId": stable_uuid(f"{incident}:{alert.stage}:communication"),
        "version": "0.1.1",
    }
    if alert.stage == "Resolved":
        ended = alert.endsAt.timestamp() if alert.endsAt and alert.endsAt.year > 1 else now_epoch_s
        properties["impactMitigationTime"] = iso(ended)
    return properties
