"""The policy job: start, inspect, cancel."""

from chaos.controller import errors
from chaos.controller.api import Answer, Call
from chaos.controller.documents import RemediationStatus
from chaos.controller.testbed import Testbed
from chaos.remediation.settings import RemediationSettings
from services.chassis.errors import ServiceError
from services.chassis.routes import Body, Reply, Route
from services.chassis.settings import merge, validate

TAG = "remediation"


def routes(testbed: Testbed) -> list[Route]:
    async def start(call: Call) -> Answer:
        if testbed.job is not None and testbed.job.status()["provisioningState"] == "Evaluating":
            raise ServiceError(errors.CONFLICT, detail="a remediation is running; cancel it first")
        given = call.body.model_dump(mode="json", exclude_unset=True)
        defects = testbed.scenario.remediation.model_dump(mode="json", exclude_unset=True)
        settings = validate(RemediationSettings, merge(defects, given), "body")
        job = await testbed.start_remediation(settings)
        testbed.acted("start_remediation", settings=given)
        return 202, job.status()

    async def inspect(_call: Call) -> Answer:
        return 200, _job(testbed).status()

    async def cancel(_call: Call) -> Answer:
        job = _job(testbed)
        await job.cancel()
        testbed.acted("cancel_remediation")
        return 200, job.status()

    path = "/v1/remediation"
    return [
        Route(
            "POST",
            path,
            "start_remediation",
            "Start the policy job; what is not given is as it was in the incident",
            start,
            "operate",
            {202: Reply("started", RemediationStatus)},
            body=Body(RemediationSettings, required=False),
            tag=TAG,
        ),
        Route(
            "GET",
            path,
            "get_remediation",
            "State of the policy job",
            inspect,
            "read",
            {200: Reply("its state", RemediationStatus)},
            (errors.NOT_FOUND,),
            tag=TAG,
        ),
        Route(
            "DELETE",
            path,
            "cancel_remediation",
            "Disable the policy job and stop its ongoing activity",
            cancel,
            "operate",
            {200: Reply("disabled", RemediationStatus)},
            tag=TAG,
        ),
    ]


def _job(testbed: Testbed):  # type: ignore[no-untyped-def]
    if testbed.job is None:
        raise ServiceError(errors.NOT_FOUND, detail="no remediation was started")
    return testbed.job
