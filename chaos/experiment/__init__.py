"""Carrying one run out: plan, performer of the timeline, sampling, alerts, guard of the baseline."""
