"""`aftershock check-part`: the contract test that a user runs on a part of their own.

A part is imported anew, built, and driven twice through the same calls. It has to be deterministic (both give the same
decisions), pure (no clock, chance or input of its own), never blocking (no sleep, socket, thread, process or file) and
bounded (in decisions and in memory; each kind's protocol says how).

    fence    refuses clocks, chance and blocking calls while a part is at work
    drives   the calls, for each kind that decides at once
    awaited  the same for actions and journeys, in virtual time
    examine  one examination
    command  the command, in processes of its own
"""
