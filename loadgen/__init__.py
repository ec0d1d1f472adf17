"""Who uses the cloud: open-loop arrivals, tenants and their journeys, and the recorder of a run."""
