"""What Google's operators did on 12 June 2025, as actions of a timeline (google-service-control-2025.yaml)."""

from chaos.experiment.operations import OperationFailed
from chaos.faults.desk import OperatorDesk

TASKS_MAX = 500


class InsertPolicy:
    """A policy with blank fields reaches all regions; a task that serves with it crashes after `crash_after_s`."""

    def __init__(self, crash_after_s: float = 0.3) -> None:
        self.crash_after_s = crash_after_s

    async def perform(self, desk: OperatorDesk) -> None:
        await desk.settings({"identity": {"configuration": {"crash_after_s": self.crash_after_s}}})


class RedButton:
    """The code path that reads the new fields is switched off in these regions (separated by commas)."""

    def __init__(self, regions: str) -> None:
        self.regions = [name.strip() for name in regions.split(",")]

    async def perform(self, desk: OperatorDesk) -> None:
        off = {"identity": {"configuration": {"crash_after_s": None}}}
        await desk.settings({"regions": {region: off for region in self.regions if region in desk.regions}})


class ThrottleTaskCreation:
    """All tasks of a region are stopped; after `hold_s` they are created again, one every `interval_s`."""

    def __init__(self, region: str, hold_s: float = 12.0, interval_s: float = 1.0) -> None:
        if hold_s <= 0 or interval_s <= 0:
            raise ValueError("needs hold_s > 0 and interval_s > 0")
        self.region = region
        self.hold_s = hold_s
        self.interval_s = interval_s

    async def perform(self, desk: OperatorDesk) -> None:
        for number in range(1, TASKS_MAX + 1):
            lease_s = self.hold_s + number * self.interval_s
            target = {"service": "identity", "instance": f"identity-{self.region}-{number}"}
            try:
                await desk.inject_fault("crash", target, {}, lease_s)
            except OperationFailed:
                if number == 1:
                    raise
                return  # there is no task of that number
