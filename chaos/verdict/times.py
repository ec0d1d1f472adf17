"""Times of a record, in bench seconds since the scenario's start (τ)."""

import math

Window = tuple[float, float]
NEVER = math.inf
"""The time of something that was observed and did not happen; None means that it was not observed."""
