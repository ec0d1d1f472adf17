"""The policy job: start, inspect, cancel."""

from chaos.controller import errors
from chaos.controller.api import Call, ControllerAnswer
from chaos.controller.documents import RemediationStatus
from chaos.controller.testbed import Testbed
from chaos.remediation.settings import RemediationSettings
from services.chassis.errors import ServiceError
from services.chassis.routes import Body, ResponseSpec, Route
from services.chassis.settings import merge, validate

TAG = "remediation"


class RemediationCalls:
    """Handlers of the policy job calls."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    async def start(self, call: Call) -> ControllerAnswer:
        if self._testbed.job is not None and self._testbed.job.status()["provisioningState"] == "Evaluating":
            raise ServiceError(errors.CONFLICT, detail="a remediation is running; cancel it first")
        given = call.body.model_dump(mode="json", exclude_unset=True)
        defects = self._testbed.scenario.remediation.model_dump(mode="json", exclude_unset=True)
        settings = validate(RemediationSettings, merge(defects, given), "body")
        job = await self._testbed.start_remediation(settings)
        self._testbed.acted("start_remediation", settings=given)
        return 202, job.status()

    async def inspect(self, _call: Call) -> ControllerAnswer:
        return 200, _job(self._testbed).status()

    async def cancel(self, _call: Call) -> ControllerAnswer:
        job = _job(self._testbed)
        await job.cancel()
        self._testbed.acted("cancel_remediation")
        return 200, job.status()


def routes(testbed: Testbed) -> list[Route]:
    calls = RemediationCalls(testbed)
    path = "/v1/remediation"
    return [
        Route(
            "POST",
            path,
            "start_remediation",
            "Start the policy job; omitted settings are those of the incident",
            calls.start,
            "operate",
            {202: ResponseSpec("started", RemediationStatus)},
            body=Body(RemediationSettings, required=False),
            tag=TAG,
        ),
        Route(
            "GET",
            path,
            "get_remediation",
            "State of the policy job",
            calls.inspect,
            "read",
            {200: ResponseSpec("its state", RemediationStatus)},
            (errors.NOT_FOUND,),
            tag=TAG,
        ),
        Route(
            "DELETE",
            path,
            "cancel_remediation",
            "Disable the policy job and stop its ongoing activity",
            calls.cancel,
            "operate",
            {200: ResponseSpec("disabled", RemediationStatus)},
            tag=TAG,
        ),
    ]


def _job(testbed: Testbed):  # type: ignore[no-untyped-def]
    if testbed.job is None:
        raise ServiceError(errors.NOT_FOUND, detail="no remediation was started")
    return testbed.job
