"""An action: reduce the load of every region in steps and raise it again.

- {id: S01, at_s: 90, do: own, part: "own_action:ShedInSteps", options: {steps: 3, pause_s: 5}}
"""

from chaos.faults.desk import OperatorDesk


class ShedInSteps:
    """`steps` steps down to half of the load, a pause after each, then back."""

    def __init__(self, steps: int = 2, pause_s: float = 10.0) -> None:
        self.steps = steps
        self.pause_s = pause_s

    async def perform(self, desk: OperatorDesk) -> None:
        for step in range(1, self.steps + 1):
            for region in desk.regions:
                await desk.set_load(region, 1.0 - 0.5 * step / self.steps)
            await desk.sleep(self.pause_s)
        for region in desk.regions:
            await desk.set_load(region, 1.0)


class CarefulFault:
    """Starts a fault in a region, looks once a second for `watch_s`, and ends it early if users feel too much of it.

    Without `region` it is the first region of the scenario. What it saw last is kept for a later action, as
    `desk.shared["success"]`.
    """

    def __init__(
        self,
        kind: str = "http_error",
        service: str = "router",
        status: int = 503,
        least: float = 0.5,
        watch_s: int = 20,
        region: str = "",
    ) -> None:
        self.kind = kind
        self.service = service
        self.status = status
        self.least = least
        self.watch_s = watch_s
        self.region = region

    async def perform(self, desk: OperatorDesk) -> None:
        region = self.region or desk.regions[0]
        target = {"service": self.service, "region": region}
        fault = await desk.inject_fault(self.kind, target, {"status": self.status}, 2.0 * self.watch_s)
        for _ in range(self.watch_s):
            await desk.sleep(1.0)
            success = await desk.reading("attempt_success", region, 5.0)
            desk.shared["success"] = success
            if success is not None and success < self.least:
                break
        await desk.end_fault(fault)
