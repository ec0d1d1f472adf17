"""The terminal that commands print to. Text of a user (a title, a path, an error) is text there, and nothing else."""

import errno
from typing import NoReturn

from rich.console import Console


class Terminal(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Rich would end the program with 1, which says "contradicted" here."""
        raise BrokenPipeError(errno.EPIPE, "the reader has gone", "standard output")


def terminal(*, stderr: bool = False) -> Console:
    """No markup and no emoji codes: `[/etc]` in a title closes no tag. Styles are given by `Text` and `style`."""
    return Terminal(stderr=stderr, markup=False, emoji=False, highlight=False)
