"""The question of a size study: its parts, each with sizes and numbers of seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.mitigations import default_catalogue
from chaos.options import RUNS_MAX
from chaos.scenarios.loader import load
from chaos.studies.matrix.cells import MatrixCell, cells
from chaos.studies.matrix.defences import Defence, defences
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.needs import require_wave
from chaos.studies.size.job import SizeRun
from services.chassis.settings import SettingsError, given_twice

WANTED_SIZES = (0.5, 1.0, 2.0, 4.0)
WANTED_SEEDS = 10
SIZE_LARGEST = 64.0


@dataclass(frozen=True)
class SeedsAt:
    """A size, and how many seeds are run at it."""

    size: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.size:g}:{self.seeds}"


@dataclass(frozen=True)
class SizeStudy:
    """The question. An empty part is not asked."""

    scenario: str
    incident: Sequence[SeedsAt]
    defence: Sequence[SeedsAt]
    calm: Sequence[SeedsAt]
    calm_minutes: float
    loads: Sequence[float]
    mitigation: Sequence[SeedsAt] = ()

    @property
    def incident_jobs(self) -> dict[float, list[SizeRun]]:
        return {at.size: [SizeRun(self.scenario, at.size, seed) for seed in _seeds(at)] for at in self.incident}

    def calm_jobs(self, load: float) -> dict[float, list[SizeRun]]:
        calm_s = self.calm_minutes * 60.0
        return {
            at.size: [SizeRun(self.scenario, at.size, seed, calm_s, load) for seed in _seeds(at)] for at in self.calm
        }

    @property
    def size_jobs(self) -> list[SizeRun]:
        """Seed by seed, so that an interrupted study has all sizes; small sizes first, they are cheap."""
        parts = [self.incident_jobs, *(self.calm_jobs(load) for load in self.loads)]
        jobs = [job for part in parts for of_size in part.values() for job in of_size]
        return sorted(jobs, key=lambda job: (job.seed, job.size))

    def defence_jobs(self, one: Defence) -> dict[float, list[MatrixRun]]:
        return {at.size: [one.job(self.scenario, seed, (), at.size) for seed in _seeds(at)] for at in self.defence}

    def mitigation_jobs(self, cell: MatrixCell) -> dict[float, list[MatrixRun]]:
        return {
            at.size: [MatrixRun(self.scenario, seed, cell.mitigations, size=at.size) for seed in _seeds(at)]
            for at in self.mitigation
        }

    @property
    def matrix_jobs(self) -> list[MatrixRun]:
        parts = [
            *(self.defence_jobs(one) for one in defences()),
            *(self.mitigation_jobs(one) for one in single_mitigations()),
        ]
        jobs = [job for part in parts for of_size in part.values() for job in of_size]
        return sorted(jobs, key=lambda job: (job.seed, job.size or 1.0))

    def check(self) -> None:
        """Makes the plan of every first run.

        Raises:
            ScenarioError, SettingsError: invalid input, such as a size that the scenario cannot have.
        """
        if self.matrix_jobs:
            require_wave("SCENARIO", load(self.scenario))
        first: list[SizeRun | MatrixRun] = [*self.size_jobs, *self.matrix_jobs]
        for job in first:
            if job.seed == 1:
                job.plan()

    def not_asked(self) -> Iterator[str]:
        """The sizes and seeds that the whole study has and this one lacks."""
        for what, asked in (
            ("the facts", self.incident),
            ("defences", self.defence),
            ("mitigations", self.mitigation),
            ("a calm region", self.calm),
        ):
            by_size = {at.size: at.seeds for at in asked}
            missing = [f"{size:g}" for size in WANTED_SIZES if size not in by_size]
            few = [f"{at.size:g} ({at.seeds})" for at in asked if at.seeds < WANTED_SEEDS]
            if missing:
                yield f"{what} at size {', '.join(missing)}"
            if few:
                yield f"{what} over {WANTED_SEEDS} seeds at size {', '.join(few)}"


def single_mitigations() -> list[MatrixCell]:
    """The cells of the matrix without a mitigation and with one."""
    ids = tuple(one.id for one in default_catalogue().mitigations)
    return [one for one in cells(ids, published=False) if one.kind in ("none", "alone")]


def _seeds(at: SeedsAt) -> range:
    return range(1, at.seeds + 1)


def parse_sizes(option: str, text: str) -> tuple[SeedsAt, ...]:
    """Parses `0.5:10,2:3`; an empty text or `none` leaves the part out.

    Raises:
        SettingsError: it is not of that form.
    """
    if text.strip() in ("", "none"):
        return ()
    found = [_parse(option, word.strip()) for word in text.split(",")]
    if len({at.size for at in found}) < len(found):
        raise SettingsError(f"{given_twice(f'{option}: a size')} (got {text!r})")
    return tuple(sorted(found, key=lambda at: at.size))


def _parse(option: str, word: str) -> SeedsAt:
    size, _, seeds = word.partition(":")
    try:
        at = SeedsAt(float(size), int(seeds or WANTED_SEEDS))
    except ValueError:
        at = SeedsAt(0.0, 0)
    if not (0 < at.size <= SIZE_LARGEST and 0 < at.seeds <= RUNS_MAX):
        raise SettingsError(f"{option}: should be SIZE:SEEDS, e.g. 0.5:10,2:3 (got {word!r})")
    return at


def parse_loads(text: str) -> tuple[float, ...]:
    """Parses `1,1.5`.

    Raises:
        SettingsError: it is not a list of positive numbers.
    """
    try:
        loads = tuple(float(word) for word in text.split(","))
    except ValueError:
        loads = (0.0,)
    if not all(0 < load <= 10 for load in loads):
        raise SettingsError(f"--calm-loads: should be factors on the base load, e.g. 1,1.5 (got {text!r})")
    return loads
