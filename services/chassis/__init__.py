"""What any process needs to be a service: time, chance, settings, HTTP, store, registry, faults, events.

Nothing here knows which runtime it is in. The seam is the event loop and the `Env` handed to each service.
"""
