"""The boundary as a table: every place where a run could depend on the real machine, and how it is handled.

`simulated` rows are replaced by an object that follows the virtual clock or a seeded stream. `fenced` rows raise
`LeftTheSimulation` with the name of the call. `not modelled` rows are not patched; `why` says why that is harmless or
which other check covers them. `boundary.Boundary` patches exactly the first two kinds; a test compares it with this
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BoundaryVerdict = Literal["simulated", "fenced", "not modelled"]


@dataclass(frozen=True)
class BoundaryRow:
    """One place that reads or uses the real machine."""

    module: str
    """The module in which the calling code looks the name up."""
    name: str
    """The attribute; for classes `Class.method`."""
    verdict: BoundaryVerdict
    stand_in: str = ""
    """Simulated rows: key of the replacement in `Boundary._stand_in`. Fenced rows: what to use instead."""
    why: str = ""
    """What the library uses it for, or why it is not patched."""

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.partition(":")
    return module, name


def _simulated(stand_in: str, why: str, *paths: str) -> tuple[BoundaryRow, ...]:
    return tuple(BoundaryRow(*_split(path), "simulated", stand_in, why) for path in paths)


def _fenced(instead: str, module: str, names: str, why: str) -> tuple[BoundaryRow, ...]:
    return tuple(BoundaryRow(module, name, "fenced", instead, why) for name in names.split())


def _left(why: str, *paths: str) -> tuple[BoundaryRow, ...]:
    return tuple(BoundaryRow(*_split(path), "not modelled", "", why) for path in paths)


SIMULATED = (
    *_simulated("monotonic", "age of pooled connections, DNS entries", "aiohttp.connector:monotonic"),
    *_simulated("random", "order in which waiting requests get a connection", "aiohttp.connector:random"),
    *_simulated("time", "the Date header of every response", "aiohttp.helpers:time"),
    *_simulated("exact", "rounds timeouts of 5 s and more up to whole seconds", "aiohttp.helpers:ceil"),
    *_simulated("time", "expiry of cookies", "aiohttp.cookiejar:time"),
    *_simulated("uuid", "boundary of multipart bodies", "aiohttp.multipart:uuid"),
    *_simulated("os", "the Sec-WebSocket-Key header", "aiohttp.client:os"),
    *_simulated("time", "retry age (stop_after_delay)", "tenacity:time"),
    *_simulated("random", "jitter of wait strategies", "tenacity.wait:random"),
    *_simulated("time", "`_created` samples, set_to_current_time, exemplars", "prometheus_client.metrics:time"),
    *_simulated("monotonic", "durations measured by .time()", "prometheus_client.context_managers:default_timer"),
    *_simulated("datetime", "checks of iat, nbf and exp", "jwt.api_jwt:datetime"),
    *_simulated(
        "time",
        "expiry, stream ids, idle times, TIME",
        "fakeredis._helpers:time",
        "fakeredis._socket._base:time",
        "fakeredis._core._server:time",
        "fakeredis.model._stream:time",
        "fakeredis.model._client_info:time",
        "fakeredis.commands_mixins.server_mixin:time",
        "fakeredis.commands_mixins.connection_mixin:time",
    ),
    *_simulated(
        "random",
        "SPOP, SRANDMEMBER, HRANDFIELD, ZRANDMEMBER, RANDOMKEY",
        "fakeredis._core._database:random",
        "fakeredis.model._expiring_members_set:random",
        "fakeredis.commands_mixins.hash_mixin:random",
        "fakeredis.commands_mixins.sortedset_mixin:random",
    ),
    *_simulated("time", "command durations, lock deadlines", "redis.asyncio.client:time"),
    *_simulated("random", "jitter between reconnects", "redis.backoff:random"),
    *_simulated("uuid", "the token of a lock", "redis.asyncio.lock:uuid"),
    *_simulated(
        "sys",
        "from 3.12 on aiohttp creates eager tasks past the loop: no owner, no sequence number, a different turn count",
        "aiohttp.client_reqrep:sys",
        "aiohttp.connector:sys",
        "aiohttp.web_protocol:sys",
    ),
)

_CLOCK = "services.chassis.clock"
_STREAMS = "services.chassis.streams"
_OURS = "refused only when one of our packages calls it; libraries and pytest get the real one"

FENCED = (
    *_fenced(_CLOCK, "time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns", _OURS),
    *_fenced("asyncio.sleep", "time", "sleep", "blocks the whole simulation in real time"),
    *_fenced(
        _STREAMS,
        "random",
        "random uniform randint randrange getrandbits choice choices shuffle sample gauss normalvariate lognormvariate "
        "expovariate betavariate gammavariate paretovariate weibullvariate triangular randbytes seed",
        _OURS,
    ),
    *_fenced(_STREAMS, "uuid", "uuid1 uuid4", _OURS),
    *_fenced(_STREAMS, "os", "urandom", _OURS),
    *_fenced(_STREAMS, "secrets", "token_bytes token_hex token_urlsafe randbelow choice", _OURS),
    *_fenced("the in-memory network", "socket", "socket.__init__", "real sockets"),
    *_fenced("asyncio tasks", "threading", "Thread.start", "threads finish at a non-deterministic time"),
    *_fenced("VirtualWorld.process", "subprocess", "Popen.__init__", "real processes"),
    *_fenced("VirtualWorld.process", "os", "fork system", "real processes"),
    *_fenced("Process.kill, Process.freeze", "signal", "signal", "real signals"),
)

NOT_MODELLED = (
    *_left("C methods cannot be patched; a ban test keeps them out of our source", "datetime:datetime.now"),
    *_left("names bound with `from time import …` escape the fence; a ban test covers them", "time:*"),
    *_left("timestamps of log records are real; no log record reaches the event log", "logging:time"),
    *_left("access log is off", "aiohttp.web_log:datetime"),
    *_left("masks of client WebSocket frames; gone after unmasking", "aiohttp._websocket.writer:random"),
    *_left("digest authentication is not used", "aiohttp.client_middleware_digest_auth:os"),
    *_left("OpenSSL's own generator: load fixed keys, sign with EdDSA or RS256", "cryptography:*"),
    *_left("fetches keys with urllib, which is fenced", "jwt.jwks_client:time", "jwt.jwk_set_cache:time"),
    *_left("only the synchronous client", "redis.client:time", "redis.connection:time", "redis.lock:uuid"),
    *_left("telemetry; our pool does not call it", "redis.asyncio.connection:time"),
    *_left("RediSearch, time series, vector sets and Top-K are not used", "fakeredis.stack:*"),
    *_left("files: deterministic as long as no other process writes them", "builtins:open"),
    *_left("another thread sees virtual time in the patched libraries: one run per process", "threading:*"),
    *_left("CPU time: takes no virtual time; model it as a service time", "time:process_time"),
    *_left("order of sets of strings: sort, or fix PYTHONHASHSEED", "builtins:set"),
    *_left("moment of garbage collection: do not rely on __del__", "gc:collect"),
)

TABLE: tuple[BoundaryRow, ...] = (*SIMULATED, *FENCED, *NOT_MODELLED)


def as_markdown() -> str:
    """The table as Markdown, one row per place."""
    lines = ["| place | verdict | instead | why |", "|---|---|---|---|"]
    lines += [f"| `{row.path}` | {row.verdict} | {row.stand_in or '–'} | {row.why or '–'} |" for row in TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
