"""The compute control plane of one region: an ARM API with a durable job queue behind it.

Blocked jobs return to the queue and are tried again. This backlog causes the incident's second wave.
"""
