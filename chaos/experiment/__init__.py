"""Execution of one run: plan, timeline performer, sampling, alerts, baseline check."""
