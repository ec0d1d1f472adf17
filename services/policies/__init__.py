"""Behaviour under stress: one mechanism per file, pure decisions; time and randomness are arguments.

A policy decides, its owner acts. `now` (float seconds) and `rng` (random.Random) are arguments; nothing here reads a
clock, uses a global random source, logs or waits. The only coroutine is `retry.call`, which awaits the given functions.

    outcome            success, ignored, dropped: the only input that policies learn from
    window             sliding counts, used by several policies
    recent             a mapping of bounded size, for keys chosen by callers
    part               a mechanism that a user can replace by their own

    client             retry · backoff · retry_budget · adaptive_throttle · breaker · deadline · token_cache
    server             queue_discipline · adaptive_limit · admission · fairness
    routing            failover · outlier
    operations         pacing · capacity · staging

Each file's docstring has the formula, the source, the defaults and the caveats. Each policy can be switched off. The
defaults are those of the incident: most policies are off.

An outcome carries the start time of its call: a call that began before a breaker opened, a host was ejected, a minimum
was measured or a leader was replaced says nothing about the present state.
"""
