"""Experiments on the testbed: scenarios, the policy job, faults, claims, reports, and the controller."""
