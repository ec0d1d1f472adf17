"""The terminal that commands print to. Text of a user (a title, a path, an error) is text there, and nothing else."""

from rich.console import Console


def terminal(*, stderr: bool = False) -> Console:
    """No markup and no emoji codes: `[/etc]` in a title closes no tag. Styles are given by `Text` and `style`."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
