"""What an alert becomes on its way to a customer: the webhook of a Service Health alert, in Azure's own schema."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator, FormatChecker

from chaos.controller.app import create_controller
from chaos.controller.service_health import SERVICE_NAMES, Alert, message
from chaos.experiment.alerts import default_alerts
from chaos.scenarios.loader import load
from services.clients.identity.client import SUBSCRIPTION
from tests.unit.controller.controller_desk import TOKENS, Desk

SCENARIO = load("azure-fnj8-vqz-short")
NOW = 1_770_077_640.0
STARTED, ENDED = "2026-02-03T00:14:00.123456789Z", "2026-02-03T06:05:00Z"
NOT_YET = "0001-01-01T00:00:00Z"
"""What Alertmanager sends as the end of an alert that is on."""

TEXT = {"type": "string", "minLength": 1}
TIME = {"type": "string", "format": "date-time"}
GUID = {"type": "string", "format": "uuid"}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


PROPERTIES = {
    "title": TEXT,
    "service": TEXT,
    "region": TEXT,
    "communication": TEXT,
    "incidentType": {"enum": ["Incident", "Informational", "ActionRequired", "Maintenance", "Security"]},
    "trackingId": {"type": "string", "pattern": "^[A-Z0-9_]{4,}-[A-Z0-9]{3}$"},
    "impactStartTime": TIME,
    "impactedServices": TEXT,
    "defaultLanguageTitle": TEXT,
    "defaultLanguageContent": TEXT,
    "stage": {"enum": ["Active", "Planned", "InProgress", "Canceled", "Rescheduled", "Resolved", "Complete", "RCA"]},
    "communicationId": TEXT,
    "version": {"const": "0.1.1"},
}
LOG = {
    "channels": {"enum": ["Admin", "Operation"]},
    "correlationId": GUID,
    "description": TEXT,
    "eventSource": {"const": "ServiceHealth"},
    "eventTimestamp": TIME,
    "eventDataId": GUID,
    "level": {"enum": ["Critical", "Error", "Warning", "Informational"]},
    "operationName": {"const": "Microsoft.ServiceHealth/incident/action"},
    "operationId": GUID,
    "properties": closed(PROPERTIES, impactMitigationTime=TIME),
    "status": {"enum": ["Active", "Resolved"]},
    "subStatus": {"type": ["string", "null"]},
    "subscriptionId": GUID,
    "submissionTimestamp": TIME,
}
SCHEMA = closed(
    {
        "schemaId": {"const": "Microsoft.Insights/activityLogs"},
        "data": closed(
            {
                "status": {"const": "Activated"},
                "context": closed({"activityLog": closed(LOG)}),
                "properties": {"type": "object"},
            }
        ),
    }
)
"""The webhook of activity-log alerts whose source is ServiceHealth (MicrosoftDocs, activity-log-alerts-webhook)."""

REGIONS = {"type": "array", "minItems": 1, "items": closed({"RegionName": TEXT})}
IMPACTED = {
    "type": "array",
    "minItems": 1,
    "items": closed({"ServiceName": TEXT, "ImpactedRegions": REGIONS}),
}


def check(document: dict[str, Any]) -> dict[str, Any]:
    """The log of a message that is as Azure's are."""
    Draft202012Validator(SCHEMA, format_checker=FormatChecker()).validate(document)
    log: dict[str, Any] = document["data"]["context"]["activityLog"]
    impacted = json.loads(log["properties"]["impactedServices"])
    Draft202012Validator(IMPACTED).validate(impacted)
    assert impacted[0]["ServiceName"] == log["properties"]["service"]
    assert log["status"] == log["properties"]["stage"]
    return log


def sent(name: str, status: str = "firing", region: str = "eastus", **labels: str) -> dict[str, Any]:
    """An alert as Alertmanager sends it."""
    return {
        "status": status,
        "labels": {"alertname": name, **({"region": region} if region else {}), **labels},
        "annotations": {"summary": "Tokens fail", "description": "In East US"},
        "startsAt": STARTED,
        "endsAt": ENDED if status == "resolved" else NOT_YET,
        "fingerprint": "0123456789abcdef",
    }


def log_of(alert: dict[str, Any]) -> dict[str, Any]:
    return check(message(Alert.model_validate(alert), SCENARIO, NOW))


@pytest.mark.parametrize("rule", default_alerts(), ids=lambda rule: rule.name)
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_every_rule_has_a_message_in_azures_schema_about_its_own_service(rule: Any, status: str) -> None:
    for labels in ({"service": rule.service}, {}):
        log = log_of(sent(rule.name, status, **labels))
        assert log["properties"]["service"] == SERVICE_NAMES[rule.service]
        assert log["description"].endswith(f"{SERVICE_NAMES[rule.service]} - East US")


def test_an_alert_of_storage_is_not_about_identities() -> None:
    storage = log_of(sent("ExtensionDownloadFailures", service="blobstore"))
    assert storage["properties"]["service"] == "Storage"


def test_an_unknown_alert_names_no_service() -> None:
    assert log_of(sent("SomethingElse"))["properties"]["service"] == "Microsoft Azure"


def test_the_subscription_is_that_of_all_resources() -> None:
    assert log_of(sent("RetryStorm"))["subscriptionId"] == SUBSCRIPTION


def test_each_state_is_an_event_of_its_own_within_one_incident() -> None:
    active, resolved = (log_of(sent("RetryStorm", status)) for status in ("firing", "resolved"))
    for name in ("correlationId", "operationId"):
        assert active[name] == resolved[name]
    assert active["properties"]["trackingId"] == resolved["properties"]["trackingId"]
    assert active["eventDataId"] != resolved["eventDataId"]
    assert active["properties"]["communicationId"] != resolved["properties"]["communicationId"]
    others = [log_of(sent("RetryStorm", region=region))["eventDataId"] for region in ("eastus", "westus", "")]
    assert len({active["eventDataId"], resolved["eventDataId"], *others}) == 4
    assert log_of(sent("RetryStorm"))["eventDataId"] == active["eventDataId"], "a repeated notice is the same event"


def test_the_end_of_the_impact_is_told_when_it_is_over_and_not_before() -> None:
    active, resolved = (log_of(sent("RetryStorm", status))["properties"] for status in ("firing", "resolved"))
    assert "impactMitigationTime" not in active
    assert resolved["impactMitigationTime"] == "2026-02-03T06:05:00.0000000Z"
    assert active["impactStartTime"] == resolved["impactStartTime"] == "2026-02-03T00:14:00.1234560Z"


def test_an_alert_without_a_region_is_about_several() -> None:
    assert [log_of(sent("FailureRateThreshold", region=region))["level"] for region in ("", "eastus")] == [
        "Error",
        "Warning",
    ]


async def test_alerts_are_forwarded_in_both_states(desk: Desk, tmp_path: Path) -> None:
    received: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        received.append(await request.json())
        return web.Response()

    receiver = web.Application()
    receiver.router.add_post("/hook", take)
    await desk.world.serve(receiver, "customer", 80)
    app = create_controller(desk.testbed, TOKENS, webhook_url="http://customer/hook")
    await desk.world.serve(app, "second-controller", 80)
    alerts = [sent("RetryStorm", status, service="identity") for status in ("firing", "resolved")]
    reply = await desk.http.call(
        "POST",
        "http://second-controller/alerts",
        json={"version": "4", "status": "firing", "alerts": alerts},
        headers={"Authorization": f"Bearer {TOKENS.project}"},
        timeout_s=5.0,
    )
    assert reply.json() == {"received": 2}
    await asyncio.sleep(1.0)
    assert sorted(check(document)["status"] for document in received) == ["Active", "Resolved"]


async def test_an_invalid_alert_is_422_and_is_not_recorded(desk: Desk) -> None:
    invalid = ({"labels": ["a"]}, {"labels": {"a": 1}}, {"status": "off"}, {"startsAt": "yesterday"}, "text")
    before = list(desk.testbed.feed.history)
    for alert in invalid:
        reply = await desk.call("POST", "/alerts", {"alerts": [alert]}, token=TOKENS.project)
        assert reply.status == 422, alert
        assert "alerts" in reply.json()["error"]["message"], alert
        assert list(desk.testbed.feed.history) == before, alert
