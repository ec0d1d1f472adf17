"""The plan of `aftershock results`: which commands make which pages, in which order, and what they cost."""

import shlex
import sys
from pathlib import Path, PurePath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from chaos.scenarios.document import DocumentError, read
from services.chassis.settings import SettingsError, explain

PLAN_FILE = Path(__file__).parents[3] / "docs" / "results.yaml"
"""That of this repository: which pages it has, and of which scenarios. `docs/` is only in a checkout."""
AFTERSHOCK, PYTHON = "aftershock", "python"
PROGRAMS = {AFTERSHOCK: ("-P", "-m", "chaos"), PYTHON: ()}
JOBS = "{jobs}"
CORE_MINUTES_MAX = 1e6


def _below(path: str) -> str:
    """A file below the folder in which the plan is carried out."""
    found = PurePath(path)
    if not found.name or found.is_absolute() or ".." in found.parts:
        raise ValueError("should be the path of a file below the working folder")
    return path


PagePath = Annotated[str, AfterValidator(_below)]


class Step(BaseModel):
    """One command."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    run: Annotated[str, Field(pattern=rf"^({AFTERSHOCK}|{PYTHON}) \S")]
    """The command as a user types it; `{jobs}` is the number of processes."""
    writes: tuple[PagePath, ...] = ()
    """The files that it writes."""
    prints_page: bool = False
    """Whether its output is the first file of `writes`."""
    needs: tuple[str, ...] = ()
    """Steps whose files it reads; they stand before it."""
    may_end: tuple[int, ...] = (0,)
    """Exit codes of a step that has done its work; 1 where a row that does not hold is a result too."""
    core_minutes: Annotated[float, Field(ge=0, le=CORE_MINUTES_MAX)] = 0
    """Expected CPU time without a cached run."""
    on_one_core: bool = False
    """Whether it runs in one process."""

    @model_validator(mode="after")
    def _can_run(self) -> "Step":
        if self.prints_page and not self.writes:
            raise ValueError(f"{self.name}.writes: is required with prints_page: the file for what it prints")
        try:
            shlex.split(self.run)
        except ValueError as error:
            raise ValueError(f"{self.name}.run: no command of a shell: {error}") from error
        return self

    def typed(self, jobs: int) -> str:
        """The command as a user types it."""
        return self.run.replace(JOBS, str(jobs))

    def command(self, jobs: int) -> list[str]:
        """The arguments of the process."""
        program, *arguments = shlex.split(self.typed(jobs))
        return [sys.executable, *PROGRAMS[program], *arguments]

    def expected_s(self, jobs: int) -> float:
        return 60 * self.core_minutes / (1 if self.on_one_core else jobs)


class ResultsPlan(BaseModel):
    """The steps, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> "ResultsPlan":
        before: set[str] = set()
        for step in self.steps:
            late = [name for name in step.needs if name not in before]
            if late:
                raise ValueError(f"steps.{step.name}.needs: {late[0]!r} is no step before it")
            if step.name in before:
                raise ValueError(f"steps.{step.name}: used twice")
            before.add(step.name)
        return self


def load_plan(path: Path) -> ResultsPlan:
    """The plan in `path`.

    Raises:
        SettingsError: it cannot be read, or is no plan; names the file and the rule.
    """
    try:
        return ResultsPlan.model_validate(read(path).values)
    except DocumentError as error:
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {explain(error).removeprefix(': ')}") from error
