"""The policy job: start, inspect, cancel."""

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import RemediationStatus
from chaos.controller.testbed import Testbed
from chaos.remediation.settings import RemediationSettings
from services.chassis.errors import ServiceError
from services.chassis.routes import Body
from services.chassis.settings import merge, validate

PATH = "/v1/remediation"


class RemediationCalls(Calls):
    tag = "remediation"

    @served(
        f"POST {PATH}",
        "Start the policy job; omitted settings are those of the incident",
        RemediationStatus,
        "started",
        status=202,
        body=Body(RemediationSettings, required=False),
    )
    async def start_remediation(self, call: Call) -> ControllerAnswer:
        if self._testbed.job is not None and self._testbed.job.status()["provisioningState"] == "Evaluating":
            raise ServiceError(errors.CONFLICT, detail="a remediation is running; cancel it first")
        given = call.body.model_dump(mode="json", exclude_unset=True)
        defects = self._testbed.scenario.remediation.model_dump(mode="json", exclude_unset=True)
        settings = validate(RemediationSettings, merge(defects, given), "body")
        job = await self._testbed.start_remediation(settings)
        self._testbed.acted("start_remediation", settings=given)
        return 202, job.status()

    @served(f"GET {PATH}", "State of the policy job", RemediationStatus, "its state", errors=(errors.NOT_FOUND,))
    async def get_remediation(self, _call: Call) -> ControllerAnswer:
        return 200, _job(self._testbed).status()

    @served(f"DELETE {PATH}", "Disable the policy job and stop its ongoing activity", RemediationStatus, "disabled")
    async def cancel_remediation(self, _call: Call) -> ControllerAnswer:
        job = _job(self._testbed)
        await job.cancel()
        self._testbed.acted("cancel_remediation")
        return 200, job.status()


def _job(testbed: Testbed):  # type: ignore[no-untyped-def]
    if testbed.job is None:
        raise ServiceError(errors.NOT_FOUND, detail="no remediation was started")
    return testbed.job
