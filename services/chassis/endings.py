"""The way out: every step is taken, whatever the steps before it met."""

from collections.abc import Awaitable, Callable

Step = Callable[[], Awaitable[object] | None]


async def finish_all(*steps: Step) -> None:
    """Takes the steps in order, each even when one before it raised or was cancelled.

    Raises:
        BaseException: the first that a step raised; the others are notes on it.
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
