"""The compute control plane of one region: ARM conventions in front, a durable job queue behind.

Blocked jobs go back to the queue and come again. That backlog is the incident's second wave.
"""
