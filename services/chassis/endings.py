"""Shutdown: every step runs, whether or not earlier steps failed."""

from collections.abc import Awaitable, Callable

EndingStep = Callable[[], Awaitable[object] | None]


async def finish_all(*steps: EndingStep) -> None:
    """Runs the steps in order, each one even if an earlier one raised or was cancelled.

    Raises:
        BaseException: the first error; later errors are attached to it as notes.
    """
    first: BaseException | None = None
    for step in steps:
        try:
            waiting = step()
            if waiting is not None:
                await waiting
        except BaseException as error:
            if first is None:
                first = error
            else:
                first.add_note(f"then {getattr(step, '__qualname__', step)}: {error!r}")
    if first is not None:
        raise first
