"""Behaviour under stress: one mechanism per file, pure decisions, time and chance passed in.

A policy decides, its owner acts. `now` (float seconds) and `rng` (random.Random) are arguments; nothing here reads a
clock, draws from a global, logs or waits. The one coroutine is `retry.call`, which awaits what it is given.

    outcome            success, ignored, dropped: the only thing policies learn from
    window             sliding counts, the memory under several of them
    recent             a mapping of bounded size, for what callers name

    client             retry · retry_budget · adaptive_throttle · breaker · deadline · token_cache
    server             queue_discipline · adaptive_limit · admission · fairness
    routing            failover · outlier
    operations         pacing · capacity · staging

Each file's docstring has the formula, the source, the defaults and what surprises. Each policy can be switched off, and
its defaults are the incident's: most are off.

A result says when its call began: what began before a breaker opened, a host was ejected, a minimum was measured or a
leader was replaced says nothing about what is now.
"""
