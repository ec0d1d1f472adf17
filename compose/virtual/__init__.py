"""One process, virtual time: the same aiohttp services and redis-py clients, repeatable to the byte from a seed.

Entry point: `world.VirtualWorld`. Below it: `kernel` (clock, scheduling order, processes, boundary to the real
machine), `net` (hosts, links, HTTP in memory), `direct` (HTTP without bytes), `redis`. `runtime` implements
`compose.runtime.Runtime` on top.

Nothing in `services` or `loadgen` may import this package.
"""
