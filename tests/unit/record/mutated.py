"""Documents with one value missing, or odd."""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

Place = tuple[str | int, ...]
MISSING = object()
ODD: tuple[object, ...] = (None, True, -1, 1e308, 10**30, "", "x", [], [[]], {}, {"a": 1}, MISSING)


def places(value: Any, above: Place = ()) -> Iterator[Place]:
    """Every place inside the document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*above, key)
        yield from places(below, (*above, key))


def changed(document: Any, place: Place, odd: object) -> Any:
    """A copy with another value, or none, at a place."""
    holder = found = copy.deepcopy(document)
    for key in place[:-1]:
        holder = holder[key]
    if odd is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = odd
    return found


def mutations(document: Any) -> Iterator[Any]:
    """All of them."""
    for place in places(document):
        for odd in ODD:
            yield changed(document, place, odd)


def some_mutations(document: Any, count: int, rng: Random) -> Iterator[Any]:
    """As many, drawn by kind of place: a long list is no more likely to be met than a field."""
    by_kind: dict[Place, list[Place]] = {}
    for place in places(document):
        by_kind.setdefault(tuple("*" if isinstance(key, int) else key for key in place), []).append(place)
    kinds = sorted(by_kind, key=str)
    for _ in range(count):
        yield changed(document, rng.choice(by_kind[rng.choice(kinds)]), rng.choice(ODD))
