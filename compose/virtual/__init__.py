"""One process, virtual time: the same aiohttp services and redis-py clients, repeatable to the byte from a seed.

Start at `world.VirtualWorld`. Below it: `kernel` (the clock and the order of things, processes, the boundary to what is
real), `net` (hosts, links, HTTP in memory), `direct` (HTTP without bytes), `redis`. `runtime` implements
`compose.runtime.Runtime` on top.

Nothing in `services` or `loadgen` may import this package.
"""
