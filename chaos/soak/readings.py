"""A reading of all state of a virtual testbed: store, state of each service, runtime, process."""

import gc
from collections import Counter
from dataclasses import dataclass

from chaos.controller.testbed import Testbed
from chaos.record.metric_names import JOURNEYS_ENDED
from chaos.soak.census import OWN, VIRTUAL, application_roots, census, module_caches
from chaos.soak.memory import held_mb, release, resident_mb
from chaos.soak.store import Stock, stock, total
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld

HOUR_S = 3600.0
FLOORS = {
    "held_mb": 50.0,
    "rss_mb": 50.0,
    "python": 20_000.0,
    "bytes": 200_000.0,
    "keys": 20.0,
    "entries": 500.0,
    "state": 5000.0,
    "runtime": 500.0,
    "module": 500.0,
}
"""Growth per week that is ignored, by kind of series.

5000 elements of state are half a megabyte. It was 500 until soaks showed that rare combinations of label values, which
are finite in number, add 10 to 20 elements an hour.
"""


@dataclass(frozen=True)
class SoakReading:
    """All quantities at one time. `state` is by service and attribute."""

    hour: float
    store: dict[str, Stock]
    state: dict[str, Counter[str]]
    runtime: Counter[str]
    modules: Counter[str]
    python_objects: int
    rss_mb: float
    held_mb: float | None
    """Without it resident memory is judged, which has the gaps of the allocator, too."""
    operations: dict[str, float]
    """Journeys ended so far, by result."""

    @property
    def total(self) -> Stock:
        return total(self.store)

    def series(self) -> dict[str, float]:
        """All quantities by name; the first word of a name is its kind."""
        found: dict[str, float] = {"python objects": float(self.python_objects)}
        found |= {"rss_mb": self.rss_mb} if self.held_mb is None else {"held_mb": self.held_mb}
        for family, row in self.store.items():
            found |= {f"keys {family}": row.keys, f"entries {family}": row.entries, f"bytes {family}": row.size_bytes}
        for service, counts in self.state.items():
            found |= {f"state {service}: {name}": float(count) for name, count in counts.items()}
        found |= {f"runtime {name}": float(count) for name, count in self.runtime.items()}
        found |= {f"module {name}": float(count) for name, count in self.modules.items()}
        return found


class SoakReader:
    """Reads one virtual testbed and its controller."""

    def __init__(self, world: VirtualWorld, runtime: VirtualRuntime, controller: Testbed) -> None:
        self._world, self._runtime, self._controller = world, runtime, controller
        self._store = world.redis.client()
        self._start_s = runtime.clock.now()

    @property
    def elapsed_s(self) -> float:
        return self._runtime.clock.now() - self._start_s

    async def read(self) -> SoakReading:
        release()
        held, resident = held_mb(), resident_mb()  # before the census, which needs memory itself
        return SoakReading(
            hour=self.elapsed_s / HOUR_S,
            store=await stock(self._store),
            state=self._state(),
            runtime=census([self._world], VIRTUAL),
            modules=module_caches(),
            python_objects=len(gc.get_objects()),
            rss_mb=resident,
            held_mb=held,
            operations=self._operations(),
        )

    def _state(self) -> dict[str, Counter[str]]:
        roots: dict[str, list[object]] = {"controller": [self._controller]}
        for spec, env, app in self._runtime.applications():
            roots.setdefault(spec.service, []).extend(application_roots(app, env))
        return {service: census(found, OWN) for service, found in sorted(roots.items())}

    def _operations(self) -> dict[str, float]:
        counts: Counter[str] = Counter()
        for target in self._runtime.targets():
            if target.metrics is not None:
                for name, labels, number in target.metrics.samples():
                    if name == JOURNEYS_ENDED:
                        counts[dict(labels)["result"]] += number  # type: ignore[assignment]
        return dict(counts)
