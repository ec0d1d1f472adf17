"""The part of chapter 6: a release that leaks memory with each request, until the node crashes."""

from random import Random

from services.chassis.faults import OwnEffect, SeenRequest


class LeakingRelease:
    """Crashes a node at its request number `requests`. A restarted node begins to count anew."""

    def __init__(self, requests: int = 30) -> None:
        self.requests = requests
        self.leaked = 0
        self.since_s = 0.0

    def effect(self, request: SeenRequest, rng: Random) -> OwnEffect | None:
        if request.since_s != self.since_s:  # the node has restarted
            self.since_s, self.leaked = request.since_s, 0
        self.leaked += 1
        return OwnEffect(crash=True) if self.leaked >= self.requests else None
