"""Counts the elements held by live objects, generically: new list, dict or set attributes are included automatically.

The walk starts at an application and its `Env`, and follows attributes, containers, bound methods and closures of the
project's classes and of prometheus-client's. The number of elements of every container is summed under the attribute
that holds it, e.g. `Compute.operations`. A ring (a deque with `maxlen`) and a cache of bounded size count as full and
their elements are not walked: how long they take to fill is not growth.
"""

import functools
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from types import BuiltinMethodType, CellType, FunctionType, MethodType, NoneType
from typing import Any

from services.policies.recent import Recent

CONTAINERS = (dict, list, tuple, set, frozenset, deque)
VALUES = frozenset({str, bytes, int, float, bool, NoneType})
"""Most of what is met; nothing is reached from it."""
OWN = ("services.", "loadgen.", "chaos.", "prometheus_client.")
VIRTUAL = ("compose.",)
AttributePath = tuple[str, ...]


def census(roots: Iterable[object], own: AttributePath = OWN) -> Counter[str]:
    """Number of elements by the attribute that holds them; every object is counted once."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("root", root) for root in roots]
    while waiting:
        label, found = waiting.pop()
        if type(found) in VALUES or id(found) in seen:
            continue
        seen.add(id(found))
        bound = _bound(found)
        if bound is not None:
            counts[label] += bound
            continue
        if isinstance(found, CONTAINERS):
            counts[label] += len(found)
        waiting += _reachable(label, found, own)
    return counts


def _bound(found: object) -> int | None:
    """The most elements that a container can hold; None without such a bound."""
    if isinstance(found, deque):
        return found.maxlen
    return found.size_max if isinstance(found, Recent) else None


def _reachable(label: str, found: object, own: AttributePath) -> Iterator[tuple[str, object]]:
    if isinstance(found, dict):
        yield from ((f"{label}[]", value) for value in list(found.values()))
    elif isinstance(found, CONTAINERS):
        yield from ((f"{label}[]", value) for value in list(found))
    elif isinstance(found, MethodType):
        yield label, found.__self__
        yield label, found.__func__
    elif isinstance(found, BuiltinMethodType):
        yield label, found.__self__
    elif isinstance(found, FunctionType):
        if found.__module__.startswith(own):
            yield from ((f"{found.__qualname__}.{name}", cell) for name, cell in _closure(found))
    elif isinstance(found, CellType):
        yield from _content(label, found)
    elif isinstance(found, functools.partial):
        yield from ((label, part) for part in (found.func, *found.args))
    elif type(found).__module__.startswith(own):
        yield from _attributes(found)


def _closure(function: FunctionType) -> Iterator[tuple[str, object]]:
    return zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)


def _content(label: str, cell: CellType) -> Iterator[tuple[str, object]]:
    try:
        yield label, cell.cell_contents
    except ValueError:  # not filled yet
        return


def _attributes(found: object) -> Iterator[tuple[str, object]]:
    kind = type(found)
    try:
        own = dict(vars(found))
    except TypeError:  # slots only
        own = {}
    for name, value in own.items():
        yield f"{kind.__name__}.{name}", value
    for base in kind.__mro__:
        for name in _slots(base):
            if hasattr(found, name):
                yield f"{kind.__name__}.{name}", getattr(found, name)


def _slots(kind: type) -> Iterator[str]:
    given = kind.__dict__.get("__slots__", ())
    for name in (given,) if isinstance(given, str) else given:
        private = name.startswith("__") and not name.endswith("__")
        yield f"_{kind.__name__.lstrip('_')}{name}" if private else name


def application_roots(app: Mapping[Any, Any], env: object) -> list[object]:
    """The roots of one instance's state: the application's keys, handlers and hooks."""
    everything: Any = app
    handlers = [route.handler for route in everything.router.routes()]
    hooks = [*everything.on_startup, *everything.on_shutdown, *everything.on_cleanup, *everything.middlewares]
    return [env, *everything.values(), *handlers, *hooks]


def module_caches(own: AttributePath = (*OWN[:3], *VIRTUAL)) -> Counter[str]:
    """Entries of module-level containers, including constants, which do not grow; an `lru_cache` counts as full."""
    counts: Counter[str] = Counter()
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(own) or module is None:
            continue
        for attribute, value in vars(module).items():
            if isinstance(value, functools._lru_cache_wrapper):
                cached = value.cache_info()
                counts[f"{name}.{attribute}"] = cached.currsize if cached.maxsize is None else cached.maxsize
            elif isinstance(value, dict | list | set | deque) and not attribute.startswith("__"):
                counts[f"{name}.{attribute}"] = len(value)
    return counts
