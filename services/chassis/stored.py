"""Reading values of the store: any of them may be garbage, and none of that may end a service.

A write that was torn, another version, a person with redis-cli: what does not fit its type is said once (the event
`stored_value_refused` names key and field), skipped, and the reader carries on with what it has. A key that is of
another Redis type than its owner expects fails every command on it, so it is set aside under `damaged:<key>`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from redis.exceptions import ResponseError

from services.chassis.background import Emit
from services.chassis.store import Keys, Store, text

T = TypeVar("T")
U = TypeVar("U")
RedisType = Literal["string", "hash", "zset", "set", "stream"]
SHOWN_LENGTH = 120
REMEMBERED_MAX = 1000


def is_wrong_type(error: BaseException) -> bool:
    """Whether a command met a key of another type than it is for."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


class Shape(Generic[T]):
    """What a stored JSON value must look like: any type that pydantic can check, dataclasses above all."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def read(self, raw: Any) -> T:
        """
        Raises:
            ValueError: the text says where it does not fit. Also for JSON that is nested too deeply.
        """
        return self.check(from_json(raw, allow_inf_nan=False))

    def check(self, value: object) -> T:
        """As `read`, of a value that is parsed already."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "value"
            raise ValueError(f"{where}: {first['msg']}") from None


class Stored:
    """Reads stored values and tells of those it refuses, each once as long as it stays the same."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._said: dict[tuple[str, str], Any] = {}
        self._types: dict[str, RedisType] = {}

    def expect(self, kind: RedisType, *keys: str) -> None:
        """Says what type of Redis these keys have."""
        self._types.update(dict.fromkeys(keys, kind))

    async def with_sound_keys(self, store: Store, work: Callable[[], Awaitable[U]]) -> U:
        """The work, begun anew once if it met a key of the wrong type."""
        try:
            return await work()
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
        await self.set_aside_wrong_types(store)
        return await work()

    async def set_aside_wrong_types(self, store: Store) -> None:
        """After an error of the kind `is_wrong_type`: the next try finds the keys free."""
        for key, wanted in self._types.items():
            kind = text(await store.type(key))
            if kind not in ("none", wanted):
                await store.rename(key, Keys.damaged(key))
                self.refuse(kind, key, "", f"is a {kind} and must be a {wanted}: set aside")

    def read(self, shape: Shape[T], raw: Any, key: str, field: str = "") -> T | None:
        """The value, or None when it is garbage."""
        try:
            return shape.read(raw)
        except ValueError as error:
            self.refuse(raw, key, field, str(error))
            return None

    def read_all(self, shape: Shape[T], rows: Mapping[Any, Any], key: str) -> dict[str, T]:
        """The fields of a hash that are what they should be, by name, in order of their names."""
        found: dict[str, T] = {}
        for name in sorted(rows):
            field = text(name)
            value = self.read(shape, rows[name], key, field)
            if value is not None:
                found[field] = value
        return found

    def refuse(self, raw: Any, key: str, field: str, why: str) -> None:
        """Says that a value is not used."""
        if self._said.get((key, field)) == raw:
            return
        if len(self._said) >= REMEMBERED_MAX:
            self._said.clear()
        self._said[key, field] = raw
        self._emit("stored_value_refused", key=key, field=field, error=why, value=text(raw)[:SHOWN_LENGTH])
