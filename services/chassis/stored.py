"""Reading stored values: any of them may be corrupt, and that must not stop a service.

A value may come from a torn write, another version or redis-cli. An invalid value is reported once (the event
`stored_value_refused` names key and field) and skipped. A key of the wrong Redis type fails every command on it, so it
is set aside under `damaged:<key>`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from redis.exceptions import ResponseError

from services.chassis.background import Emit
from services.chassis.store import Keys, RedisType, Store, text

T = TypeVar("T")
U = TypeVar("U")
NO_KEYS: Mapping[str, RedisType] = {}
SHOWN_LENGTH = 120
REMEMBERED_MAX = 1000


def is_wrong_type(error: BaseException) -> bool:
    """Whether a command failed because its key has another Redis type."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


class StoredShape(Generic[T]):
    """The type of a stored JSON value: any type that pydantic validates, usually a dataclass."""

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def read(self, raw: Any) -> T:
        """Parses and validates a stored value.

        Raises:
            ValueError: it is invalid (the text says where) or nested too deeply.
        """
        # By default it also caches values, 16 384 of the process's lifetime: the ids of identities long gone, 1.4 MB.
        return self.check(from_json(raw, allow_inf_nan=False, cache_strings="keys"))

    def check(self, value: object) -> T:
        """Like `read`, for a value that is already parsed."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "value"
            raise ValueError(f"{where}: {first['msg']}") from None


class Stored:
    """Reads stored values and reports invalid ones, each once as long as it does not change."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._said: dict[tuple[str, str], int] = {}
        self._types: dict[str, RedisType] = dict(Keys.TYPES)

    def expect(self, kind: RedisType, *keys: str) -> None:
        """Declares the Redis type of these keys, beside those of `Keys.TYPES`."""
        self._types.update(dict.fromkeys(keys, kind))

    async def with_sound_keys(
        self, store: Store, work: Callable[[], Awaitable[U]], also: Mapping[str, RedisType] = NO_KEYS
    ) -> U:
        """Runs `work`; if it meets a key of the wrong type, sets that key aside and runs `work` once more.

        `also` are keys that `work` uses and that are not declared: there are too many of them, or they end.
        """
        try:
            return await work()
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
        await self.set_aside_wrong_types(store, also)
        return await work()

    async def set_aside_wrong_types(self, store: Store, also: Mapping[str, RedisType] = NO_KEYS) -> None:
        """Renames keys of the wrong type, after an error for which `is_wrong_type` is True."""
        for key, wanted in (*self._types.items(), *also.items()):
            kind = text(await store.type(key))
            if kind not in ("none", wanted):
                await store.rename(key, Keys.damaged(key))
                self.refuse(kind, key, "", f"is a {kind} and must be a {wanted}: set aside")

    def read(self, shape: StoredShape[T], raw: Any, key: str, field: str = "") -> T | None:
        """The value, or None if it is invalid."""
        try:
            return shape.read(raw)
        except ValueError as error:
            self.refuse(raw, key, field, str(error))
            return None

    def read_all(self, shape: StoredShape[T], rows: Mapping[Any, Any], key: str) -> dict[str, T]:
        """The valid fields of a hash, sorted by name."""
        found: dict[str, T] = {}
        for name in sorted(rows):
            field = text(name)
            value = self.read(shape, rows[name], key, field)
            if value is not None:
                found[field] = value
        return found

    def refuse(self, raw: Any, key: str, field: str, why: str) -> None:
        """Reports that a value is ignored."""
        seen = hash(raw)  # the value itself may take megabytes
        if self._said.get((key, field)) == seen:
            return
        if len(self._said) >= REMEMBERED_MAX:
            self._said.clear()
        self._said[key, field] = seen
        self._emit("stored_value_refused", key=key, field=field, error=why, value=text(raw)[:SHOWN_LENGTH])
