"""What every service process needs: time, randomness, settings, HTTP, store, registry, faults, events.

Nothing here depends on the runtime. The seam is the event loop and the `Env` that each service receives.
"""
