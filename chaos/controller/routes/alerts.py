"""Alerts from Alertmanager: published on the event stream and forwarded as Azure Service Health messages."""

import json

from aiohttp import web

from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import Received, TargetGroup
from chaos.controller.service_health import Alert, message
from chaos.controller.testbed import Testbed
from services.chassis.settings import Settings

LABELS = {"name": "alertname", "region": "region", "severity": "severity", "service": "service"}
FORWARD_TIMEOUT_S = 5.0


class AlertmanagerMessage(Settings):
    """The used fields of Alertmanager's webhook message."""

    model_config = Settings.model_config | {"extra": "ignore"}

    status: str = ""
    alerts: tuple[Alert, ...] = ()


class AlertCalls(Calls):
    tag = "alerts"

    def __init__(self, testbed: Testbed, webhook_url: str) -> None:
        super().__init__(testbed)
        self._webhook_url = webhook_url

    @served("POST /alerts", "Alertmanager's webhook", Received, "taken", access="project", body=AlertmanagerMessage)
    async def take_alerts(self, call: Call) -> ControllerAnswer:
        for alert in call.body.alerts:
            if not self._testbed.run_is_on:
                self._record(alert)
            if self._webhook_url:
                self._testbed.env.background.once(self._forward(alert), "service health")
        return 200, {"received": len(call.body.alerts)}

    def _record(self, alert: Alert) -> None:
        """Emits an event. Not called during a run, which evaluates and records the same rules itself."""
        fields = {field: alert.labels.get(label, "") for field, label in LABELS.items()}
        self._testbed.events.emit("alert", state=alert.status, **fields)

    async def _forward(self, alert: Alert) -> None:
        document = message(alert, self._testbed.scenario, self._testbed.runtime.clock.epoch())
        reply = await self._testbed.runtime.http.call(
            "POST", self._webhook_url, json=document, timeout_s=FORWARD_TIMEOUT_S
        )
        self._testbed.events.emit("service_health_sent", status=reply.status, failure=reply.failure)

    @served(
        "GET /prometheus/targets",
        "Prometheus HTTP service discovery",
        list[TargetGroup],
        "every instance",
        access="open",
    )
    async def list_scrape_targets(self, _call: Call) -> web.Response:
        groups = [
            {
                "targets": [target.url.removeprefix("http://")],
                "labels": {
                    "service": target.spec.service,
                    "region": target.spec.region,
                    "instance": target.spec.name,
                },
            }
            for target in self._testbed.runtime.targets()
            if target.url
        ]
        return web.Response(text=json.dumps(groups), content_type="application/json")
