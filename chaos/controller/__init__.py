"""The chaos controller: an HTTP API over a running testbed, an event stream, and a console.

It does not depend on the emulated services that it disturbs: it needs Redis and the runtime only.
"""
