"""The chaos controller: an HTTP API over a running testbed, an event stream, and a console.

It stands outside what it breaks: it needs Redis and the runtime, never the emulated identity service.
"""
