"""The console of the commands. User-supplied text (a title, a path, an error) is printed literally."""

import errno
from typing import NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table


class Terminal(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Raises BrokenPipeError: rich would exit with code 1, which means "contradicted" here."""
        raise BrokenPipeError(errno.EPIPE, "the reader has gone", "standard output")


def terminal(*, stderr: bool = False) -> Console:
    """A console without markup and emoji codes, so that `[/etc]` in a title is not a tag. Use `Text` and `style`."""
    return Terminal(stderr=stderr, markup=False, emoji=False, highlight=False)


def table(*columns: Column | str, title: str | None = None, caption: str | None = None) -> Table:
    """A table as every command prints it."""
    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
