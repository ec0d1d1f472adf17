"""What a blob service knows and who may read it: accounts, containers, blobs, the two switches. Pure: no I/O, no clock.

An account's switch overrides every container's level, and a change of it is accepted at once but takes effect later:
`PublicAccessSwitch` keeps what is accepted and what reads still see.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from services.blobstore import errors
from services.blobstore.settings import EXEMPT_TAG
from services.chassis.clock import http_date
from services.chassis.errors import ErrorSpec

Level = Literal["None", "Blob", "Container"]
Moment = Annotated[float, Field(ge=0, le=1e11)]
"""Unix time; the bounds are those of a date in a header."""
Etag = Annotated[str, Field(pattern=r'^"0x[0-9A-Fa-f]{1,16}"$')]
Scope = Literal["blob", "container"]
LEVELS: tuple[Level, ...] = ("None", "Blob", "Container")
WEB = "$web"
_TICKS_AT_EPOCH = 621_355_968_000_000_000  # 100 ns since year 1, as Azure's ETags count


@dataclass(frozen=True, slots=True)
class PublicAccessSwitch:
    """`allowBlobPublicAccess`: `public` is what reads see, `pending` are accepted changes and when reads see them."""

    public: bool
    pending: tuple[tuple[float, bool], ...] = ()

    @property
    def accepted(self) -> bool:
        """What the account's owner sees: the last accepted value."""
        return self.pending[-1][1] if self.pending else self.public

    def effective(self, now_epoch_s: float) -> bool:
        """What an anonymous reader meets."""
        public = self.public
        for at, value in self.pending:
            if at > now_epoch_s:
                break
            public = value
        return public

    def turned(self, public: bool, now_epoch_s: float, delay_s: float) -> "PublicAccessSwitch":
        """The switch after accepting `public`; unchanged when that is what it says already."""
        if public == self.accepted:
            return self
        effect_at = now_epoch_s + delay_s
        # A later decision never takes effect before an earlier one: with a shortened delay it replaces it.
        waiting = [(at, value) for at, value in self.pending if now_epoch_s < at < effect_at]
        return PublicAccessSwitch(self.effective(now_epoch_s), (*waiting, (effect_at, public)))

    def __repr__(self) -> str:
        words = [f"{'public' if value else 'locked'} from {at:.3f}" for at, value in self.pending]
        return f"<PublicAccessSwitch {'public' if self.public else 'locked'}{''.join(', ' + word for word in words)}>"


@dataclass(frozen=True, slots=True)
class Blob:
    """A block blob. `content` are the standard headers it is served with; `body_id` names its bytes in the store."""

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
    level: Level
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
        """All blob names in order; kept until a name comes or goes."""
        if self._names is None:
            self._names = sorted(self.blobs)
        return self._names

    def __repr__(self) -> str:
        return f"<BlobContainer {self.name} {self.level}, {len(self.blobs)} blobs>"


@dataclass(slots=True)
class StorageAccount:
    """A storage account. `properties` are ARM properties kept for their owner but without effect here."""

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
        """Ground truth: anonymous reads are intended here, whatever an inventory says."""
        return self.tags.get(EXEMPT_TAG) == "true"

    def with_switch(self, switch: PublicAccessSwitch) -> "StorageAccount":
        return replace(self, switch=switch)

    def __repr__(self) -> str:
        return f"<StorageAccount {self.name} {self.switch!r}, {'exempt' if self.exempt else 'not exempt'}>"


def anonymous_denial(
    account: StorageAccount, container_name: str, container: BlobContainer | None, scope: Scope, now_epoch_s: float
) -> ErrorSpec | None:
    """Why an anonymous reader may not; None when it may.

    A reader who may not see a container cannot tell that from a container that is not there. `$web` is served as a
    website and takes no notice of either switch.
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
class Page:
    """One page of a listing. `next_marker` is empty on the last one."""

    blobs: tuple[Blob, ...]
    prefixes: tuple[str, ...]
    next_marker: str


def list_page(
    container: BlobContainer, *, prefix: str, delimiter: str, marker: str, results_max: int, start_from: str = ""
) -> Page:
    """Names after `marker` and from `start_from` on (which is listed itself) that start with `prefix`.

    With a delimiter, names below it fold into one prefix.
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
            return Page(tuple(blobs), tuple(prefixes), last)
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            blobs.append(container.blobs[name])
            last, index = name, index + 1
            continue
        folded = name[: cut + len(delimiter)]
        prefixes.append(folded)
        while index < len(names) and names[index].startswith(folded):
            last, index = names[index], index + 1
    return Page(tuple(blobs), tuple(prefixes), "")


class Etags:
    """ETags as Azure makes them: the time in ticks, in hexadecimal. Two are never equal, even at one instant."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_epoch_s: float) -> str:
        self._last = max(self._last + 1, _TICKS_AT_EPOCH + int(now_epoch_s * 10_000_000))
        return f'"0x{self._last:X}"'

    def seen(self, etag: str) -> None:
        """Never goes back behind an ETag that was given out before a restart."""
        self._last = max(self._last, int(etag.strip('"'), 16))
