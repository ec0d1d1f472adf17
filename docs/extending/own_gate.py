"""A health gate of the policy job: compares the failures after a change with those before it.

aftershock run azure-fnj8-vqz-short --policy gate=own_gate:BeforeAndAfter
"""

from chaos.remediation.gate_model import Decision, RolloutWave, Signals


class BeforeAndAfter:
    """Stops when the failure ratio rose by more than `worse`; needs `bake_s` of samples to go on."""

    def __init__(self, worse: float = 0.1, bake_s: float = 30.0, samples_min: int = 5) -> None:
        self.worse = worse
        self.bake_s = bake_s
        self.samples_min = samples_min

    def decide(self, signals: Signals, wave: RolloutWave, now_t: float) -> Decision:
        after = signals.failure_ratio(wave.region, wave.started_t, now_t)
        if after is None or after[1] < self.samples_min:
            return Decision("hold", "too few samples")
        before = signals.failure_ratio(wave.region, wave.started_t - self.bake_s, wave.started_t)
        usual = before[0] if before is not None else 0.0
        if after[0] > usual + self.worse:
            return Decision("stop", "worse than before", *after)
        if now_t - wave.started_t < self.bake_s:
            return Decision("hold", "baking", *after)
        return Decision("proceed", "as before", *after)
