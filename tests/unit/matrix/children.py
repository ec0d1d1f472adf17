"""What a child process is given to do. It imports nothing of the product, for every child imports it anew."""

import threading
from pathlib import Path


def wait_for_ever(started: str) -> None:
    """Says that it has begun, on a pipe, and never ends."""
    Path(started).write_bytes(b"")
    threading.Event().wait()
