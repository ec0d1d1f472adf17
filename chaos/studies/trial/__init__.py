"""`aftershock try-retries`: the incident with a user's retry configuration, against the shipped retries."""
