"""`aftershock soak`: prints a line per bench hour, then the quantities that grow; exit code 1 if there are any.

Interrupted after the fourth hour or later, it judges the hours that it has measured.
"""

from collections.abc import Sequence
from statistics import median

from rich.console import Console

from chaos.soak.ranks import theil_sen_slope
from chaos.soak.readings import FLOORS, SoakReading
from chaos.soak.trend import Trend, trends
from chaos.soak.virtual import READINGS_AN_HOUR, soak
from services.chassis.clock import system_clock
from services.chassis.exit_codes import CONTRADICTED, EXPECTED
from services.chassis.settings import Tree

SETTLED_H = 2.0
HOURS_MIN = 4.0
"""The fewest hours that can be judged."""
COLUMNS = ("hour", "keys", "entries", "store MB", "python obj", "held MB", "RSS MB", "success", "wall s")
SERVICES = ("blobstore", "controller", "identity", "loadgen", "provisioner", "router")


def soak_command(hours: float, seed: int, overrides: Tree, console: Console) -> int:
    """Runs the soak test and prints the result; returns the exit code."""
    clock = system_clock()
    start = clock.now()
    console.print(_row((*COLUMNS, *SERVICES, "runtime")), soft_wrap=True)
    before: list[SoakReading] = []
    readings: list[SoakReading] = []

    def tell(reading: SoakReading) -> None:
        readings.append(reading)
        if abs(reading.hour - round(reading.hour)) < 1e-6:
            console.print(_row(_cells(reading, before, clock.now() - start)), soft_wrap=True)
            before[:] = [reading]

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    def judged() -> int:
        if readings[-1].held_mb is not None:
            say(gaps(readings))
        return conclude(growing(readings), readings[-1].hour, clock.now() - start, console)

    try:
        collapses = soak(hours, tell, overrides=overrides, seed=seed, say=say)
    except KeyboardInterrupt:
        if readings and readings[-1].hour >= HOURS_MIN:
            judged()
        raise
    for collapse in collapses:
        if collapse.ended_h is None:
            say(str(collapse))
    say(f"{len(collapses)} collapses without a cause from outside")
    return judged()


def growing(
    readings: Sequence[SoakReading], settled_h: float = SETTLED_H, stretch_h: float | None = None
) -> list[Trend]:
    """The quantities that grow after the settling time, steepest first.

    Raises:
        ValueError: the run was too short.
    """
    series = [(reading.hour, reading.series()) for reading in readings]
    left_h = readings[-1].hour - settled_h
    stretch = stretch_h or (1.0 if left_h >= 12.0 else 1.0 / READINGS_AN_HOUR)
    found = [one for one in trends(series, from_h=settled_h, stretch_h=stretch, floors=FLOORS) if one.grows]
    return sorted(found, key=lambda one: -one.per_hour)


def gaps(readings: Sequence[SoakReading], settled_h: float = SETTLED_H) -> str:
    """A line on resident memory, which is not judged where it is known what is held."""
    late = [reading for reading in readings if reading.hour > settled_h]
    hours, resident = [reading.hour for reading in late], [reading.rss_mb for reading in late]
    above = median(reading.rss_mb - (reading.held_mb or 0.0) for reading in late)
    return (
        f"resident memory: {theil_sen_slope(hours, resident):+.2g} MB an hour at {median(resident):.0f}, of which "
        f"{above:.0f} are code and gaps of the allocator; what is held is judged"
    )


def conclude(grown: Sequence[Trend], hours: float, wall_s: float, console: Console) -> int:
    for one in grown:
        console.print(f"grows  {one.name}: {one.per_hour:+.3g} an hour at {one.level:.4g}")
    word = f"{len(grown)} grow" if grown else "nothing grows"
    console.print(f"{word} after hour {SETTLED_H:g} of {hours:g}; {wall_s:.0f} s of wall time")
    return CONTRADICTED if grown else EXPECTED


def _cells(reading: SoakReading, before: Sequence[SoakReading], wall_s: float) -> tuple[str, ...]:
    total = reading.total
    return (
        f"{reading.hour:.0f}",
        f"{total.keys}",
        f"{total.entries}",
        f"{total.size_bytes / 1e6:.1f}",
        f"{reading.python_objects}",
        "–" if reading.held_mb is None else f"{reading.held_mb:.0f}",
        f"{reading.rss_mb:.0f}",
        f"{_success(reading, before):.1%}",
        f"{wall_s:.0f}",
        *(f"{reading.state[service].total()}" for service in SERVICES),
        f"{reading.runtime.total()}",
    )


def _success(reading: SoakReading, before: Sequence[SoakReading]) -> float:
    """Success ratio of the journeys that ended since the last line."""
    earlier = before[0].operations if before else {}
    grown = {result: count - earlier.get(result, 0.0) for result, count in reading.operations.items()}
    return grown.get("success", 0.0) / max(1.0, sum(grown.values()))


def _row(cells: Sequence[str]) -> str:
    return " ".join(cell.rjust(11) for cell in cells)
