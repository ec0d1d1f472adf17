"""Mitigations for counterfactual runs: the repair items R1–R7 and the defences X1–X6, each a named change of a run."""

from chaos.mitigations.catalogue import (
    bundle_name,
    catalogue,
    default_catalogue,
    expand,
    left_out,
    mitigation_overlay,
    named,
    run_time_overlay,
)
from chaos.mitigations.transform import transform

__all__ = [
    "bundle_name",
    "catalogue",
    "default_catalogue",
    "expand",
    "left_out",
    "mitigation_overlay",
    "named",
    "run_time_overlay",
    "transform",
]
