"""Joint perturbation of parameters: the facts must not depend on one set of values.

The seventeen are the continuous and queue parameters of docs/model.md §4; each is multiplied by its own factor from
1 − f to 1 + f. Layer counts, node counts and scale-out sizes are kept, as there.
"""

from collections.abc import Iterator
from typing import Any

from chaos.scenarios.model import Scenario
from services.chassis.settings import SettingPath, Tree, merge, setting_at
from services.chassis.streams import Streams

SERVICES = (
    ("identity", "service_time_s"),
    ("identity", "queue_length"),
    ("identity", "overload_slowdown"),
    ("identity", "cold_slowdown"),
    ("identity", "crash_after_s"),
    ("identity", "restart_s"),
    ("identity", "warm_requests"),
    ("identity_client", "timeout_s"),
    ("router", "hop_timeout_s"),
    ("provisioner", "requeue_delay_s"),
    ("loadgen", "patience_mean_s"),
)


def perturbation(scenario: Scenario, fraction: float, seed: int) -> Tree:
    """A settings overlay with every parameter multiplied by its own random factor, from `seed`."""
    rng = Streams(seed, "perturbation")
    tree: Tree = {}
    for path, value in _values(scenario):
        factor = 1.0 + fraction * (2.0 * rng[".".join(path)].random() - 1.0)
        changed: Any = value * factor
        if isinstance(value, int):
            changed = max(1, round(changed))
        tree = merge(tree, setting_at(path, changed))
    return tree


def _values(scenario: Scenario) -> Iterator[tuple[SettingPath, Any]]:
    from chaos.experiment.plan import make_plan, settings_models
    from services.chassis.settings import resolve

    plan = make_plan(scenario, 0)
    models = settings_models()
    pair = [region.name for region in scenario.regions if region.pair] or [region.name for region in scenario.regions]
    for section, field in SERVICES:
        yield (section, field), getattr(resolve(models[section], plan.settings, section, pair[0]), field)
    for region in pair:
        slots = resolve(models["provisioner"], plan.settings, "provisioner", region)
        yield ("regions", region, "provisioner", "slots"), slots.slots  # type: ignore[attr-defined]
        for field in ("token_rate_per_s", "job_rate_per_s"):
            yield ("loadgen", "regions", region, field), getattr(scenario.load[region], field)
