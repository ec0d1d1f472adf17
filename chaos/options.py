"""Parameter types of the command line, shared by all commands."""

import math
from collections.abc import Sequence
from typing import Any

import click

RUNS_MAX = 10_000
SEED = click.IntRange(0, 2**63 - 1)
SEEDS = click.IntRange(1, RUNS_MAX)
JOBS = click.IntRange(1, 1024)
STUDIED = "azure-fnj8-vqz"
"""The scenario of a study that is not told another one."""
TRIED = "azure-fnj8-vqz-short"
"""The scenario in which configurations are tried: the incident at the pace of real time."""


def comma_separated(text: str) -> Sequence[str]:
    """What stands between the commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


class FiniteRange(click.FloatRange):
    """A float range without NaN and infinities, which click's range check accepts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


size_option = click.option(
    "--size",
    type=FiniteRange(0, 64, min_open=True),
    metavar="S",
    help="multiply load, nodes and all that goes with them (docs/scenarios.md); default the scenario's",
)
drop_option = click.option("--drop", "drops", multiple=True, metavar="T13", help="drop an entry of the timeline")
change_option = click.option(
    "--change", "changes", multiple=True, metavar="ENTRY.FIELD=VALUE", help="change a value of an entry of the timeline"
)
