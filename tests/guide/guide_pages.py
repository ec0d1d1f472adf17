"""The commands of docs/guide: runs them, and keeps what the pages show of their output.

    python -m tests.guide.guide_pages            writes what the commands print into the pages
    python -m tests.guide.guide_pages --check    says where a page shows something else; exit code 1
    … --fast                                     leaves the slow blocks as they are, as `make test-long` does

A block of a page is a fence `console` that begins with `$ aftershock …`. Above it stands what it shows: a comment
`<!-- show: pattern | pattern -->` with a regular expression for each kind of line; the others become `…`. With
`show slow:` the block is left to this program: `make test-long` has no time for it. What surprises: everything runs in
this process, in order, in one folder, since later chapters use the runs of earlier ones; and no report page is drawn.
"""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import click
from click.testing import CliRunner

from chaos.cli import main
from chaos.report import files
from chaos.studies.campaign import command as campaign_command
from chaos.studies.map import command as map_command
from services.parts.declared import FOLDER, NAMES

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
BLOCK = re.compile(
    r"<!-- show(?P<slow> slow)?: (?P<show>.+?) -->\n"
    r"```console\n\$ (?P<command>aftershock [^\n]+)\n(?P<shown>.*?)```\n",
    re.DOTALL,
)
FENCE = re.compile(r"^```console\n", re.MULTILINE)
ELISION = "…"
COLUMNS = "100"


class GuideError(ValueError):
    """A page or one of its commands is not as it should be; the text names it."""


@dataclass(frozen=True)
class Block:
    """A command of a page, and what the page shows of its output."""

    page: str
    command: str
    patterns: tuple[str, ...]
    shown: str
    slow: bool = False

    def shows(self, output: str) -> str:
        """What the page has to show of this output.

        Raises:
            GuideError: naming a pattern that no line has.
        """
        lines = [line.rstrip() for line in output.splitlines()]
        for pattern in self.patterns:
            if not any(re.search(pattern, line) for line in lines):
                raise GuideError(f"{self.page}: {self.command}: no line has {pattern!r} in:\n{output}")
        kept: list[str] = []
        for line in lines:
            if any(re.search(pattern, line) for pattern in self.patterns):
                kept.append(line)
            elif line and (not kept or kept[-1] != ELISION):
                kept.append(ELISION)
        return "\n".join(kept) + "\n"


def chapters() -> list[Path]:
    """The course, in order."""
    return sorted(GUIDE.glob("[0-9]*.md"))


def pages() -> list[Path]:
    """All pages that have commands, in the order in which they are run."""
    return [*chapters(), GUIDE / "map.md"]


def blocks(page: Path) -> list[Block]:
    """The commands of a page.

    Raises:
        GuideError: when a fence is not of the form above: it would not be run.
    """
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page.name, one["command"], tuple(one["show"].split(" | ")), one["shown"], bool(one["slow"]))
        for one in BLOCK.finditer(text)
    ]
    if len(found) != len(FENCE.findall(text)):
        raise GuideError(f"{page.name}: a console block without `show`, or without a command of aftershock")
    return found


UNDECLARED: dict[str, str | None] = {NAMES: None, FOLDER: None}
"""What one command declares is not the next one's, which a reader starts in another process."""


class Here(Executor):
    """Does each job at once, in this process: starting a process costs more than a point of the map."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **options))
        return future


@contextmanager
def workplace() -> Iterator[None]:
    """An empty folder with the guide in it, as a reader's checkout has it; commands write their runs there."""
    before = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(map_command, "processes", in_this_process),
        mock.patch.object(campaign_command, "processes", in_this_process),
        mock.patch.object(files, "write_report", lambda folder, *_: folder / "report.html"),
    ):
        (Path(folder) / "docs").mkdir()
        (Path(folder) / "docs" / "guide").symlink_to(GUIDE, target_is_directory=True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def in_this_process(_count: int) -> Iterator[Executor]:
    yield Here()


def output(block: Block) -> str:
    """What the command prints.

    Raises:
        GuideError: with its output, when it ends with bad input or an exception. A contradicted run is no failure.
    """
    done = CliRunner().invoke(main, shlex.split(block.command)[1:], env={"COLUMNS": COLUMNS, **UNDECLARED})
    if done.exit_code not in (0, 1) or (done.exception and not isinstance(done.exception, SystemExit)):
        raise GuideError(f"{block.page}: {block.command}: exit code {done.exit_code}\n{done.output}{done.exception!r}")
    return done.output


def run_guide(*, fast: bool) -> Iterator[tuple[Block, str]]:
    """Every block in order, or every fast one, with what its page should show."""
    with workplace():
        for page in pages():
            for block in blocks(page):
                if not (fast and block.slow):
                    yield block, block.shows(output(block))


def rewrite(page: Path, news: dict[str, str]) -> None:
    """Puts what each command shows now into the page."""

    def shown(found: re.Match[str]) -> str:
        head = found[0][: found.start("shown") - found.start()]
        return f"{head}{news.get(found['command'], found['shown'])}```\n"

    page.write_text(BLOCK.sub(shown, page.read_text(encoding="utf-8")), encoding="utf-8")


@click.command()
@click.option("--check", is_flag=True, help="change nothing; exit code 1 when a page shows something else")
@click.option("--fast", is_flag=True, help="leave the slow blocks out")
def tool(check: bool, fast: bool) -> None:
    """Runs the commands of docs/guide and brings the shown output up to date."""
    news: dict[str, str] = {}
    old = 0
    for block, shown in run_guide(fast=fast):
        news[block.command] = shown
        if shown != block.shown:
            old += 1
            click.echo(f"{block.page}: {block.command}: {'differs' if check else 'brought up to date'}")
    if not check:
        for page in pages():
            rewrite(page, news)
    sys.exit(1 if check and old else 0)


if __name__ == "__main__":
    tool()
