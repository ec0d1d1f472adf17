"""A service as an operating-system process: real sockets, real Redis, settings from the environment."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal, NoReturn

import aiohttp
from aiohttp import web
from pydantic import Field

from services.chassis import exit_codes, interrupts
from services.chassis.access import shared_secret
from services.chassis.addresses import guard_address, listen
from services.chassis.clock import Clock, system_clock
from services.chassis.env import DEFAULT_PEER_URL, Env, Peers, make_env
from services.chassis.environment import (
    AddressPattern,
    HttpAddress,
    RedisAddress,
    SettingsTree,
    from_environment,
)
from services.chassis.event_stream import StreamSink
from services.chassis.http import HttpClient
from services.chassis.registry import Instance
from services.chassis.settings import Settings, merge
from services.chassis.store import STORE_ERRORS, Keys, connect
from services.chassis.stored import StoredShape
from services.chassis.streams import Streams
from services.chassis.tracing import NO_TRACING, Tracing

if TYPE_CHECKING:
    from services.chassis.otlp_export import OtlpExporter

ADDRESS_LIFE_S = 1
BACKLOG = 4096  # aiohttp's 128 makes a burst of connects wait for the kernel's 1 s SYN retry
_SEED: StoredShape[int] = StoredShape(int)


class ProcessSettings(Settings):
    """Read from `AFTERSHOCK_<NAME>`; JSON where the value is a mapping."""

    region: str
    instance: str = Field(min_length=1)
    redis_url: RedisAddress
    url: HttpAddress = Field(description="how others reach this instance; default http://<instance>:<port>", default="")
    host: str = "0.0.0.0"
    port: int = Field(default=8080, ge=0, le=65535)
    seed: int = 1
    settings: SettingsTree = {}
    load: Literal["base", "rest"] = Field(default="base", description="the load's profile, unless the settings say it")
    peers: dict[str, HttpAddress] = {}
    peer_pattern: AddressPattern = DEFAULT_PEER_URL
    otlp_endpoint: HttpAddress = Field(default="", description="base URL of an OTLP collector; empty: no tracing")
    echo: bool = Field(default=True, description="print event lines too, for a container's log")
    project_secret: str = Field(default="", repr=False, description="shared by the testbed; from the store when empty")


def real_session() -> aiohttp.ClientSession:
    """An HTTP session without aiohttp's hidden policies.

    `limit=0`: the default limit of 100 connections is a bulkhead that would change the incident. aiohttp also repeats
    an idempotent request once when the server closes the connection; that is off, because retries are studied here. It
    remembers addresses for 10 s; containers that are restarted together may have swapped theirs by then.
    """
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=ADDRESS_LIFE_S)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    session._retry_connection = False
    return session


def process_env(service: str, process: ProcessSettings) -> tuple[Env, StreamSink, "OtlpExporter | None"]:
    store = connect(process.redis_url)
    clock = system_clock()
    sink = StreamSink(store, clock, echo=process.echo)
    url = process.url or f"http://{process.instance}:{process.port}"
    instance, session = Instance(service, process.region, process.instance, url), real_session()
    tracing, exporter = _tracing(instance, session, clock, process)
    env = make_env(
        instance,
        seed=process.seed,
        clock=clock,
        http=tracing.client(session),
        store=store,
        sink=sink,
        tree=merge({"loadgen": {"profile": process.load}}, process.settings),
        peers=Peers(process.peers, process.peer_pattern),
        secret=process.project_secret,
        tracing=tracing,
    )
    if exporter is not None:
        exporter.on_lost = env.metrics.counter(
            "trace_spans_lost_total", "Spans that the collector did not take, or that did not fit into the queue."
        ).inc
    return env, sink, exporter


def _tracing(
    instance: Instance, session: aiohttp.ClientSession, clock: Clock, process: ProcessSettings
) -> "tuple[Tracing, OtlpExporter | None]":
    """Imports OpenTelemetry only for a process that has an endpoint."""
    if not process.otlp_endpoint:
        return NO_TRACING, None
    from services.chassis.otlp_export import OtlpExporter
    from services.chassis.telemetry import tracing_of

    exporter = OtlpExporter(HttpClient(session), process.otlp_endpoint)
    return tracing_of(instance, clock, process.seed, exporter), exporter


async def serve(service: str, create_app: Callable[[Env], web.Application], process: ProcessSettings) -> None:
    """Runs until cancelled (e.g. by SIGTERM), then lets requests in flight finish."""
    env, sink, exporter = process_env(service, process)
    async with AsyncExitStack() as ending:  # callbacks run in reverse order; an error in one does not skip the others
        ending.push_async_callback(env.store.aclose)
        ending.push_async_callback(env.http.close)
        ending.push_async_callback(sink.close)
        sink.start()
        if exporter is not None:
            ending.push_async_callback(exporter.close)
            env.background.keep(exporter.run, "trace exporter")
        await env.background.complete(lambda: _take_from_testbed(env, process), "seed and secret", STORE_ERRORS)
        app = create_app(env)
        guard_address(app, process.instance)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
        ending.push_async_callback(runner.cleanup)
        await runner.setup()
        await listen(runner, process.host, process.port, backlog=BACKLOG)
        await asyncio.Event().wait()


async def _take_from_testbed(env: Env, process: ProcessSettings) -> None:
    """Takes the seed of the current run and the project secret from the store."""
    store = env.store
    raw = await env.stored.with_sound_keys(store, lambda: store.get(Keys.SEED))
    seed = env.stored.read(_SEED, raw, Keys.SEED) if raw is not None else None
    if seed is not None:
        env.streams = Streams(seed, env.instance.name)
    env.secret = await shared_secret(store, process.project_secret)


def main(service: str, create_app: Callable[[Env], web.Application]) -> NoReturn:
    """Entry point of `python -m services.<service>`; its exit code is chosen in `exit_codes.py`."""

    def body() -> None:
        interrupts.run(serve(service, create_app, from_environment(ProcessSettings, os.environ)))

    sys.exit(exit_codes.run(service, body, keep_traceback=False, last=True))
