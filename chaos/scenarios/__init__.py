"""Scenarios: YAML files that say what the world and its operators do, and nothing about what comes of it."""
