"""The work of child processes. It imports nothing of the product, because every child imports it again."""

import threading
from pathlib import Path


def wait_for_ever(started: str) -> None:
    """Says that it has begun, on a pipe, and never ends."""
    Path(started).write_bytes(b"")
    threading.Event().wait()
