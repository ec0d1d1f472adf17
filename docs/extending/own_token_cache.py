"""A token cache: tokens until shortly before their end, and one fetch at a time for each key.

aftershock run azure-fnj8-vqz-short --policy token_cache=own_token_cache:SingleFlight
"""

from collections import OrderedDict
from typing import Any

from services.policies.token_cache import Lookup


class SingleFlight:
    """Keeps the newest keys; a leader that does not report within `flight_s` is replaced."""

    def __init__(self, margin_s: float = 5.0, flight_s: float = 30.0, keys_max: int = 10_000) -> None:
        self.margin_s = margin_s
        self.flight_s = flight_s
        self.keys_max = keys_max
        self._tokens: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        self._flights: OrderedDict[str, float] = OrderedDict()

    def lookup(self, key: str, now: float) -> Lookup:
        _, expires = self._tokens.get(key, (None, now))
        if now < expires:
            return Lookup.HIT
        if now < self._flights.get(key, now):
            return Lookup.WAIT
        _keep(self._flights, key, now + self.flight_s, self.keys_max)
        return Lookup.MISS

    def token(self, key: str) -> Any:
        return self._tokens.get(key, (None, 0.0))[0]

    def store(self, key: str, token: Any, now: float, lifetime_s: float) -> None:
        self._flights.pop(key, None)
        _keep(self._tokens, key, (token, now + lifetime_s - self.margin_s), self.keys_max)

    def fail(self, key: str, now: float, began: float | None = None) -> None:
        self._flights.pop(key, None)


def _keep(kept: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    """Adds a value, and forgets the oldest beyond `most`."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
