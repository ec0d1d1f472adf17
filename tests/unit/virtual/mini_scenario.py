"""A small incident with everything in it that could upset an order: ties, retries, timeouts, crashes, zombies.

All delays are round numbers on purpose, so that very many things fall on the same instant and only the order
of turns tells them apart. Run as a module it prints the SHA-256 of its log:

    python -m tests.unit.virtual.mini_scenario http 7
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from typing import Any, cast

import aiohttp
from aiohttp import web

from compose.virtual.world import Served, TransportKind, VirtualWorld

INFINITE = float("inf")


class Scenario:
    """Clients → front → nodes, with a Redis queue beside them; `log` is what happened, in order."""

    def __init__(self, transport: TransportKind, seed: int) -> None:
        self.world = VirtualWorld(seed=seed, transport=transport)
        self.random = random.Random(seed)
        self.log: list[str] = []
        self.nodes: dict[str, Served] = {}

    def say(self, *what: object) -> None:
        self.log.append(" ".join(map(str, (self.world.loop.time(), *what))))

    # --- services ------------------------------------------------------------------------------------

    def node_app(self, name: str) -> web.Application:
        """A node: takes a while, sometimes fails, now and then crashes; notes callers that have left."""
        delays = random.Random(f"{name}-{self.random.random()}")
        redis = self.world.redis.client(decode_responses=True)

        async def work(request: web.Request) -> web.Response:
            body = await request.json() if request.method == "POST" else None
            number = await redis.incr(f"served:{name}")
            self.say(name, "begins", request.query_string, body, request.remote)
            await asyncio.sleep(delays.choice((0, 0.25, 0.5, 0.5, 1, 2)))
            left = request.transport is None or request.transport.is_closing()
            self.say(name, "ends", request.query_string, "caller left" if left else "")
            if number % 17 == 0:
                assert request.transport is not None or left
                if request.transport is not None:
                    request.transport.abort()
            if number % 11 == 0:
                raise web.HTTPServiceUnavailable(text="busy")
            if number % 29 == 0:
                raise LookupError("a bug")
            await redis.xadd("done", {"node": name, "query": request.query_string})
            return web.json_response({"node": name, "number": number})

        async def stream(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for number in range(3):
                await asyncio.sleep(delays.choice((0, 0.25)))
                self.say(name, "streams", number, request.query_string)
                await response.write(f"{number};".encode())
            return response

        app = web.Application()
        app.router.add_route("*", "/work/{kind}", work)
        app.router.add_get("/stream", stream)
        return app

    def front_app(self) -> web.Application:
        """The front: tries up to three nodes, half a second each."""
        session = self.world.session("front", timeout=aiohttp.ClientTimeout(total=0.75, ceil_threshold=INFINITE))
        picks = random.Random("front")

        async def forward(request: web.Request) -> web.Response:
            for attempt in range(3):
                node = picks.choice(("node-0", "node-1", "node-2"))
                try:
                    async with session.request(
                        request.method,
                        f"http://{node}/work/{attempt}?{request.query_string}",
                        json={"attempt": attempt} if request.method == "POST" else None,
                    ) as answer:
                        text = await answer.text()
                        if answer.status < 500:
                            return web.Response(text=text, content_type="application/json")
                        self.say("front", node, answer.status, text.strip()[:20])
                except (TimeoutError, aiohttp.ClientError) as error:
                    self.say("front", node, type(error).__name__)
                await asyncio.sleep(0.25)
            raise web.HTTPBadGateway(text="no node")

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", forward)
        return app

    # --- the run -------------------------------------------------------------------------------------

    async def client(self, number: int) -> None:
        """One client: a request every now and then, impatient every third time."""
        session = self.world.session(f"client-{number}")
        for round_ in range(12):
            patience = 1.0 if round_ % 3 == 0 else 5.0
            method = "POST" if number % 2 else "GET"
            limit = aiohttp.ClientTimeout(total=patience, ceil_threshold=INFINITE)
            try:
                async with session.request(method, f"http://front/x?c={number}&r={round_}", timeout=limit) as answer:
                    data = await answer.json() if answer.status == 200 else await answer.text()
                    self.say("client", number, answer.status, data)
            except (TimeoutError, aiohttp.ClientError) as error:
                self.say("client", number, type(error).__name__)
            await asyncio.sleep(0.5)

    async def reader(self) -> None:
        """Reads streams, and gives up on every other one half-way."""
        session = self.world.session("reader", timeout=aiohttp.ClientTimeout(sock_read=1, ceil_threshold=INFINITE))
        for round_ in range(20):
            try:
                async with session.get(f"http://node-{round_ % 3}/stream?{round_}") as answer:
                    if round_ % 2:
                        self.say("reader", await answer.content.read(2))
                    else:
                        self.say("reader", await answer.read())
            except (TimeoutError, aiohttp.ClientError) as error:
                self.say("reader", type(error).__name__)
            await asyncio.sleep(0.25)

    async def hedger(self) -> None:
        """Asks two nodes and takes the first answer; the other request is cancelled."""
        session = self.world.session("hedger", timeout=aiohttp.ClientTimeout(total=2, ceil_threshold=INFINITE))

        async def ask(node: int) -> str:
            async with session.get(f"http://node-{node}/work/hedge?{node}") as answer:
                return await answer.text()

        for round_ in range(15):
            asked = [asyncio.create_task(ask(node)) for node in (round_ % 3, (round_ + 1) % 3)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for task in asked:
                task.cancel()
            self.say("hedger", len(done), *(type(task.exception()).__name__ for task in done))
            await asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(0.5)

    async def weather(self) -> None:
        """Link faults, one after another, on round seconds."""
        network = self.world.network
        for source, destination, what in (
            ("client-1*", "front", {"latency_s": 0.25}),
            ("front", "node-2", {"blackhole": True}),
            ("node-0", "front", {"blackhole": True}),
            ("front", "node-*", {"refuse": True}),
            ("client-?", "*", {"reset": True}),
            ("node-1", "*", {"refuse": True}),
            ("*", "*", {"latency_s": 0.125}),
        ):
            await asyncio.sleep(1)
            with network.fault(source, destination, **what):
                self.say("weather", source, destination, what)
                await asyncio.sleep(0.5)

    async def worker(self) -> None:
        """A consumer of the queue, killed and followed by another in the middle of its work."""
        redis = self.world.redis.client(decode_responses=True)
        while True:
            read: Any = await redis.xreadgroup("g", "w", {"done": ">"}, count=2, block=3000)
            for _stream, entries in read or ():
                for identity, fields in entries:
                    self.say("worker", identity, fields)
                    await asyncio.sleep(0.25)
                    await redis.xack("done", "g", identity)

    async def operator(self) -> None:
        """Kills, freezes and revives on round seconds."""
        await asyncio.sleep(3)
        self.nodes["node-1"].kill()
        self.say("operator kills node-1")
        await asyncio.sleep(2)
        self.nodes["node-1"] = await self.world.serve(self.node_app("node-1"), "node-1")
        self.nodes["node-2"].freeze()
        self.say("operator revives node-1, freezes node-2")
        await asyncio.sleep(2)
        self.nodes["node-2"].thaw()
        self.world.redis.stall(1.5)
        await asyncio.sleep(2)
        await self.nodes["node-0"].stop()
        self.say("operator stopped node-0")

    async def main(self) -> None:
        redis = self.world.redis.client()
        await redis.xgroup_create("done", "g", "0", mkstream=True)
        for number in range(3):
            self.nodes[f"node-{number}"] = await self.world.serve(self.node_app(f"node-{number}"), f"node-{number}")
        await self.world.serve(self.front_app(), "front")
        worker = self.world.process("worker").spawn(self.worker())
        async with asyncio.TaskGroup() as group:
            for work in (self.operator, self.weather, self.reader, self.hedger):
                group.create_task(work())
            for number in range(16):
                group.create_task(self.client(number))
        worker.cancel()
        self.say("redis", sorted(await redis.keys("*")), await redis.xlen("done"))

    def run(self) -> str:
        """Run to the end; the hash of the log."""
        self.world.run(self.main())
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()


if __name__ == "__main__":
    scenario = Scenario(cast(TransportKind, sys.argv[1]), int(sys.argv[2]))
    print(scenario.run())
    if len(sys.argv) > 3:
        print("\n".join(scenario.log))
