"""A fault: responses slow down more and more while it lasts, as with a leak, and then fail.

- {id: L01, at_s: 60, do: inject_fault, kind: "own_fault:Leak", target: {service: router}, lease_s: 30,
   parameters: {step_s: 0.002, most_s: 1.5}}
"""

from random import Random

from services.chassis.faults import OwnEffect, SeenRequest


class Leak:
    """Each request is delayed by `step_s` more than the one before; from `most_s` on it fails with 503."""

    def __init__(self, step_s: float = 0.001, most_s: float = 1.0) -> None:
        if not 0 < step_s <= most_s:
            raise ValueError("needs 0 < step_s <= most_s")
        self.step_s = step_s
        self.most_s = most_s

    def effect(self, request: SeenRequest, rng: Random) -> OwnEffect | None:
        delay_s = self.step_s * (request.effects + 1)
        return OwnEffect(status=503) if delay_s >= self.most_s else OwnEffect(delay_s=delay_s)
