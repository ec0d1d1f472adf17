"""Times of a record, in bench seconds from the scenario's start."""

import math

Window = tuple[float, float]
NEVER = math.inf
"""The time of something that was watched for and did not happen (as opposed to None: it was not watched)."""
