"""Scenarios: YAML files that define topology, load and operator actions, but no outcomes."""
