"""Accounts, containers, blobs, and the rules of anonymous access. Pure: no I/O, no clock.

An account's switch overrides the access level of its containers. A change is accepted at once but takes effect later:
`PublicAccessSwitch` holds both the accepted value and the one in effect.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from services.blobstore import errors
from services.blobstore.settings import EXEMPT_TAG
from services.chassis.clock import http_date
from services.chassis.errors import ErrorSpec

AccessLevel = Literal["None", "Blob", "Container"]
Moment = Annotated[float, Field(ge=0, le=1e11)]
"""Unix time, within the bounds of an HTTP date."""
Etag = Annotated[str, Field(pattern=r'^"0x[0-9A-Fa-f]{1,16}"$')]
Scope = Literal["blob", "container"]
WEB = "$web"
_TICKS_AT_EPOCH = 621_355_968_000_000_000  # 100 ns since year 1, as Azure's ETags count


@dataclass(frozen=True, slots=True)
class PublicAccessSwitch:
    """`allowBlobPublicAccess`: the base value, and accepted changes as (epoch second of effect, value)."""

    public: bool
    pending: tuple[tuple[float, bool], ...] = ()

    @property
    def accepted(self) -> bool:
        """The last accepted value, which the account's owner sees."""
        return self.pending[-1][1] if self.pending else self.public

    def effective(self, now_epoch_s: float) -> bool:
        """The value that anonymous reads see."""
        public = self.public
        for at, value in self.pending:
            if at > now_epoch_s:
                break
            public = value
        return public

    def turned(self, public: bool, now_epoch_s: float, delay_s: float) -> "PublicAccessSwitch":
        """The switch after accepting `public`; unchanged if that is already the accepted value."""
        if public == self.accepted:
            return self
        effect_at = now_epoch_s + delay_s
        # Changes take effect in order: with a shorter delay, a new change replaces those that would come after it.
        waiting = [(at, value) for at, value in self.pending if now_epoch_s < at < effect_at]
        return PublicAccessSwitch(self.effective(now_epoch_s), (*waiting, (effect_at, public)))

    def __repr__(self) -> str:
        words = [f"{'public' if value else 'locked'} from {at:.3f}" for at, value in self.pending]
        return f"<PublicAccessSwitch {'public' if self.public else 'locked'}{''.join(', ' + word for word in words)}>"


@dataclass(frozen=True, slots=True)
class Blob:
    """A block blob. `content` holds its standard response headers; `body_id` names its bytes in the store."""

    name: str
    body_id: str
    size: Annotated[int, Field(ge=0)]
    md5: str
    etag: Etag
    created_at: Moment
    modified_at: Moment
    content: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def created(self) -> str:
        return http_date(self.created_at)

    @property
    def last_modified(self) -> str:
        return http_date(self.modified_at)


@dataclass(slots=True)
class BlobContainer:
    """A container and its blobs by name."""

    name: str
    level: AccessLevel
    etag: Etag
    modified_at: Moment
    metadata: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    _names: list[str] | None = None

    @property
    def last_modified(self) -> str:
        return http_date(self.modified_at)

    def put(self, blob: Blob) -> None:
        if blob.name not in self.blobs:
            self._names = None
        self.blobs[blob.name] = blob

    def remove(self, name: str) -> None:
        del self.blobs[name]
        self._names = None

    def names(self) -> list[str]:
        """All blob names, sorted; cached until a name is added or removed."""
        if self._names is None:
            self._names = sorted(self.blobs)
        return self._names

    def __repr__(self) -> str:
        return f"<BlobContainer {self.name} {self.level}, {len(self.blobs)} blobs>"


@dataclass(slots=True)
class StorageAccount:
    """A storage account. `properties` are ARM properties that are stored but have no effect here."""

    name: str
    resource_group: str
    created_at: float
    switch: PublicAccessSwitch
    kind: str = "StorageV2"
    sku: str = "Standard_LRS"
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    containers: dict[str, BlobContainer] = field(default_factory=dict)

    @property
    def exempt(self) -> bool:
        """Ground truth, independent of any inventory: anonymous reads are intended."""
        return self.tags.get(EXEMPT_TAG) == "true"

    def __repr__(self) -> str:
        return f"<StorageAccount {self.name} {self.switch!r}, {'exempt' if self.exempt else 'not exempt'}>"


def anonymous_denial(
    account: StorageAccount, container_name: str, container: BlobContainer | None, scope: Scope, now_epoch_s: float
) -> ErrorSpec | None:
    """The error of an anonymous read, or None if it is allowed.

    To a reader without access, a private container looks like a missing one. `$web` is served as a website, whatever
    the switch and the level.
    """
    if container_name == WEB and scope == "blob":
        return None if container else errors.RESOURCE_NOT_FOUND
    switch = account.switch
    if not (switch.effective(now_epoch_s) if switch.pending else switch.public):
        return errors.PUBLIC_ACCESS_NOT_PERMITTED
    if container is None or container.level == "None":
        return errors.RESOURCE_NOT_FOUND
    if scope == "container" and container.level != "Container":
        return errors.RESOURCE_NOT_FOUND
    return None


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing. `next_marker` is empty on the last one."""

    blobs: tuple[Blob, ...]
    prefixes: tuple[str, ...]
    next_marker: str


def list_page(
    container: BlobContainer, *, prefix: str, delimiter: str, marker: str, results_max: int, start_from: str = ""
) -> ListPage:
    """Names that start with `prefix`, come after `marker` and not before `start_from` (inclusive).

    With a delimiter, names that share the part up to it are folded into one prefix.
    """
    names = container.names()
    start = max(bisect_left(names, prefix), bisect_left(names, start_from))
    index = max(start, bisect_right(names, marker) if marker else 0)
    blobs: list[Blob] = []
    prefixes: list[str] = []
    last = ""
    while index < len(names):
        name = names[index]
        if not name.startswith(prefix):
            break
        if len(blobs) + len(prefixes) == results_max:
            return ListPage(tuple(blobs), tuple(prefixes), last)
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            blobs.append(container.blobs[name])
            last, index = name, index + 1
            continue
        folded = name[: cut + len(delimiter)]
        prefixes.append(folded)
        while index < len(names) and names[index].startswith(folded):
            last, index = names[index], index + 1
    return ListPage(tuple(blobs), tuple(prefixes), "")


class Etags:
    """ETags in Azure's format: the time in 100 ns ticks, hexadecimal. They are unique, even at one instant."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_epoch_s: float) -> str:
        self._last = max(self._last + 1, _TICKS_AT_EPOCH + int(now_epoch_s * 10_000_000))
        return f'"0x{self._last:X}"'

    def seen(self, etag: str) -> None:
        """Takes note of a stored ETag, so that new ones are greater, also after a restart."""
        self._last = max(self._last, int(etag.strip('"'), 16))
