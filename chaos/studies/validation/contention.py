"""V09: many writers of one row, with optimistic concurrency."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Published, Row, RowFigures, between, printed
from chaos.studies.validation.world import FOREVER_S, PLAIN_NODE, REGION, SmallWorld
from services.chassis.env import Peers
from services.chassis.http import HttpReply
from services.chassis.settings import Tree, merge
from services.policies.retry import RetrySettings, call

CLIENTS = 100
BASE_S, CAP_S = 0.005, 2.0
NETWORK_S, NETWORK_SPREAD_S = 0.010, 0.002
ROW = f"/vmextmi{REGION}/packages/row"
STORAGE = "https://storage.azure.com"
FOR_EVER = 1_000_000

QUICK: Tree = merge(
    PLAIN_NODE,
    {"identity": {"service_time_s": 1e-6}, "blobstore": {"service_time_s": 0.0}, "router": {"service_time_s": 0.0}},
)


def _waits(wait: str, base_s: float, multiplier: float = 2.0) -> RetrySettings:
    return RetrySettings.model_validate(
        {"attempts": FOR_EVER, "wait": wait, "base_s": base_s, "max_s": CAP_S, "multiplier": multiplier}
    )


BACKOFFS = {
    "none": _waits("fixed", 0.0),
    "exponential": _waits("exponential", 2 * BASE_S),
    "equal jitter": _waits("equal_jitter", 2 * BASE_S),
    "full jitter": _waits("full_jitter", 2 * BASE_S),
    "decorrelated": _waits("decorrelated_jitter", BASE_S),
}
"""The source's first exponential wait is 2 · base: it counts attempts from one."""


class _Wrote:
    """What one attempt came to, as the retry policy reads it."""

    retry_after_s = None

    def __init__(self, status: int) -> None:
        self.retryable = status == 412
        if status not in (201, 412):
            raise RuntimeError(f"the row answered {status}")


class _Writers:
    """Clients that read a blob and write it under its ETag, over a network that takes time."""

    def __init__(self, world: SmallWorld) -> None:
        self.world = world
        self.calls = 0
        self._network = world.streams["network"]

    async def begin(self) -> None:
        world = self.world
        await world.node()
        await world.serve("router", f"router-{REGION}")
        await world.serve("blobstore", f"blobstore-{REGION}")
        callers = world.callers(f"router-{REGION}")
        token = (await callers.client.token("writer", REGION, "", STORAGE)).json()["access_token"]
        self.env = callers.env
        self._url = f"{Peers().url('blobstore', REGION)}{ROW}"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "x-ms-version": "2023-11-03",
            "x-ms-blob-type": "BlockBlob",
        }
        _etag(await self._send("PUT"))

    async def _send(self, method: str, **more: str) -> HttpReply:
        data = b"1" if method == "PUT" else None
        headers = {**self._headers, **more}
        return await self.env.http.call(method, self._url, timeout_s=FOREVER_S, headers=headers, data=data)

    async def _way(self) -> None:
        await asyncio.sleep(abs(self._network.gauss(NETWORK_S, NETWORK_SPREAD_S)))

    async def _attempt(self) -> _Wrote:
        await self._way()
        etag = _etag(await self._send("GET"))
        await self._way()
        await self._way()
        self.calls += 1
        reply = await self._send("PUT", **{"If-Match": etag})
        await self._way()
        return _Wrote(reply.status)

    async def write(self, backoff: RetrySettings) -> None:
        rng = self.world.streams["backoff"]
        await call(backoff.build(), self._attempt, clock_now=self.world.clock.now, sleep=asyncio.sleep, rng=rng)


def _etag(reply: HttpReply) -> str:
    if not reply.ok:
        raise RuntimeError(f"the row answered {reply.status}: {reply.body!r}")
    return reply.headers["ETag"]


async def _contend(world: SmallWorld, backoff: RetrySettings) -> tuple[float, float]:
    """Writes until every client has written once, and how long that took."""
    writers = _Writers(world)
    await writers.begin()
    began = world.now
    await asyncio.gather(*(writers.write(backoff) for _ in range(CLIENTS)))
    return writers.calls, world.now - began


def measure(seed: int, overrides: Tree) -> RowFigures:
    """`overrides` may have a section `backoff` besides those of the services, over every kind of backoff."""
    tree = merge(QUICK, {section: values for section, values in overrides.items() if section != "backoff"})
    calls, took_s = RowFigures(), RowFigures()
    for name, backoff in BACKOFFS.items():
        changed = RetrySettings.model_validate({**backoff.model_dump(), **overrides.get("backoff", {})})
        calls[name], took_s[name] = SmallWorld(seed, tree).run(partial(_contend, backoff=changed))
    return {
        **{f"calls, {name}": count for name, count in calls.items()},
        **{f"calls, {name} ÷ full jitter": calls[name] / calls["full jitter"] for name in OTHERS},
        **{f"time, {name}, s": took_s[name] for name in TIMES_S},
        "runs in which no backoff ends first, exponential last": float(_ordered(took_s)),
    }


OTHERS = ("none", "exponential", "equal jitter", "decorrelated")
CALLS = {"none": 2446, "exponential": 1855, "equal jitter": 813, "full jitter": 795, "decorrelated": 1005}
TIMES_S = {"none": "2.1", "exponential": "63"}
"""The times with jitter, 6.6, 4.7 and 4.6 s, are those of the last client in one run, which tell nothing: ± 4 s."""


def _ordered(took_s: RowFigures) -> bool:
    return min(took_s, key=took_s.__getitem__) == "none" and max(took_s, key=took_s.__getitem__) == "exponential"


def _ratio(name: str) -> Published:
    ratio = CALLS[name] / CALLS["full jitter"]
    return Published(f"calls, {name} ÷ full jitter", f"{ratio:.2f}", ratio - 0.005, ratio + 0.005, 0.5 * ratio, runs=1)


ROWS = (
    Row(
        "V09",
        "AWS, Exponential Backoff and Jitter (Brooker 2015), program aws-samples/aws-arch-backoff-simulator",
        "100 clients read a blob and write it under its ETag (`If-Match`) until each has written once; our retry "
        "policy with base 5 ms and cap 2 s, network of 10 ± 2 ms each way",
        "R",
        "t interval over seeds, widened by the spread of the source's one run, plus half a unit of the last digit",
        10,
        (
            *(printed(f"calls, {name}", str(count), 0.5 * count, runs=1) for name, count in CALLS.items()),
            *(_ratio(name) for name in OTHERS),
            *(printed(f"time, {name}, s", text, 0.5 * float(text), runs=1) for name, text in TIMES_S.items()),
            between("runs in which no backoff ends first, exponential last", 1.0, 1.0, 0.1),
        ),
        measure,
    ),
)
