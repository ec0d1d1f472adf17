"""A recorded run in the dashboards of the Docker testbed (docs/watch.md)."""
