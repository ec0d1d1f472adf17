"""The users of the cloud: open-loop arrivals, tenants and their journeys."""
