"""The only module of the services that creates randomness: one seed, many named streams.

A stream's values depend only on the seed and its own name, so a new draw in one place does not change any other.
"""

import random
import secrets
import uuid


class Streams:
    """Named `random.Random` streams from one seed. `scope` prefixes every name, e.g. with the instance."""

    __slots__ = ("_cache", "_scope", "_seed")

    def __init__(self, seed: int, scope: str = "") -> None:
        self._seed = seed
        self._scope = scope
        self._cache: dict[str, random.Random] = {}

    def __getitem__(self, name: str) -> random.Random:
        stream = self._cache.get(name)
        if stream is None:
            # Seeding with a string goes through SHA-512, so it does not depend on PYTHONHASHSEED.
            stream = self._cache[name] = random.Random(f"{self._seed}/{self._scope}/{name}")
        return stream

    def uuid(self, name: str = "uuid") -> str:
        """A UUID in version-4 format, reproducible from the seed."""
        return str(uuid.UUID(int=self[name].getrandbits(128), version=4))

    def __repr__(self) -> str:
        return f"<Streams seed={self._seed} scope={self._scope!r}, {len(self._cache)} open>"


def stable_uuid(name: str) -> str:
    """A UUID derived from a name, independent of the seed: ids of declared resources."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"aftershock:{name}"))


def secret_token() -> str:
    """An unguessable token for real credentials. No virtual run uses it, so it need not be reproducible."""
    return secrets.token_urlsafe(24)
