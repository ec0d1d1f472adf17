"""The part of `make bench` that puts a hop over real sockets beside the hops of virtual time.

Client and server share one process and one loop, as they do in virtual time, so that both sides' CPU is counted. The
machine is in every figure; the ratio of two of them is not.
"""

import asyncio
from collections.abc import Callable

import aiohttp
import uvloop
from aiohttp import web
from rich.console import Console

from chaos.progress.terminal import table
from compose.virtual.bench import CLIENTS, ROUNDS, WINDOWS, bench_hops, best_of

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


async def _answer(request: web.Request) -> web.Response:
    return web.json_response({"ok": True, "path": request.path})


async def _one_client(session: aiohttp.ClientSession, url: str) -> None:
    for _ in range(ROUNDS):
        async with session.get(url) as response:
            await response.json()


async def _over_sockets() -> float:
    app = web.Application()
    app.router.add_get("/item/{number}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def burst() -> None:
            await asyncio.gather(
                *(_one_client(session, f"http://{host}:{port}/item/{number}") for number in range(CLIENTS))
            )

        cost_us = await best_of(WINDOWS, CLIENTS * ROUNDS, burst)
    await runner.cleanup()
    return cost_us


def main(console: Console) -> None:
    """CPU microseconds of `GET → JSON`, 64 clients at once, over each transport."""
    costs_us = {}
    for name, loop in LOOPS.items():
        with asyncio.Runner(loop_factory=loop) as run:
            costs_us[f"real sockets, {name}"] = run.run(_over_sockets())
    costs_us["virtual, http"] = bench_hops("http", sleeps=False)
    costs_us["virtual, direct"] = bench_hops("direct", sleeps=False)
    shown = table("a hop", "CPU µs", "of real sockets", title="virtual hops beside real ones, same handler")
    real_us = costs_us["real sockets, uvloop"]
    for name, cost_us in costs_us.items():
        shown.add_row(name, f"{cost_us:.0f}", f"{cost_us / real_us:.2f}")
    console.print(shown)


if __name__ == "__main__":
    main(Console())
