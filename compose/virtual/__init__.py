"""One process, virtual time: the same aiohttp services and redis-py clients, repeatable to the byte from a seed.

Start at `world.VirtualWorld`. Below it: `loop` (the clock and the order of things), `fences` and `boundary` (what is
real stays outside; `boundary_table` is the list), `network`, `links`, `transport`, `connector` (HTTP in memory),
`direct`, `direct_call`, `exchange` (HTTP without bytes), `process` (kill, freeze), `redis`, `redis_client`,
`redis_engine`. `runtime` implements `compose.runtime.Runtime` on top.

Nothing in `services` or `loadgen` may import this package.
"""
