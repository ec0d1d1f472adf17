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
