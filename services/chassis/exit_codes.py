"""Exit codes of our programs: one table, and the only place that chooses from it.

    0  as expected        1  contradicted        2  bad input, or could not be judged        3  a defect of ours
    129, 130, 143         ended by SIGHUP, SIGINT, SIGTERM

Shells and CI jobs see only this number, so an uncaught exception must not look like a verdict.
"""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from services.chassis.interrupts import Interrupted, listening

EXPECTED, CONTRADICTED, BAD_INPUT, DEFECT = 0, 1, 2, 3
HANGUP, INTERRUPT, TERMINATED = 129, 130, 143
CODES = frozenset({EXPECTED, CONTRADICTED, BAD_INPUT, DEFECT, HANGUP, INTERRUPT, TERMINATED})

LINE_MAX = 1000
FILES_AND_PORTS = frozenset(
    {
        errno.EACCES,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EPIPE,
        errno.EROFS,
        errno.ESTALE,
        errno.ETXTBSY,
    }
)
"""Operating-system errors caused by the user's disk, permissions or ports, not by a defect of ours."""

OF_A_WRITE = frozenset({errno.EAGAIN, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE})
STDOUT = "standard output"

Refused = tuple[type[BaseException], ...]


def surroundings() -> Refused:
    """Exceptions caused by the user's input or machine, wherever they are raised."""
    from redis.exceptions import RedisError

    from services.chassis.settings import SettingsError

    return SettingsError, RedisError, MemoryError


def run(
    program: str,
    body: Callable[[], Any],
    refused: Callable[[], Refused] = tuple,
    *,
    keep_traceback: bool = True,
    last: bool = False,
) -> int:
    """Runs `body` and returns the exit code: the one it returned, or the one for its exception, reported on stderr.

    Args:
        refused: returns the exceptions that mean bad input, besides `surroundings`; called only after an exception.
        keep_traceback: write the traceback of a defect to a file named in the message; otherwise print it to stderr.
        last: the process ends with this code (`listening`).
    """
    _tolerate_any_terminal()
    try:
        with listening(last=last):
            code = _own(body())
            _flush()
            return code
    except SystemExit as error:
        return _flushed(program, _own(error.code))
    except BaseException as error:
        return _said(program, error, (*surroundings(), *refused()), keep_traceback)


def _own(code: Any) -> int:
    if code is None:
        return EXPECTED
    return code if code in CODES else DEFECT


def _flushed(program: str, code: int) -> int:
    try:
        _flush()
    except OSError as error:
        return _said(program, error, (), False)
    return code


def _flush() -> None:
    """Flushes stdout now: Python would flush at interpreter exit and turn a full disk into exit code 120."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from error
    except (AttributeError, ValueError):
        return  # stdout is missing or closed


def _said(program: str, error: BaseException, refused: Refused, keep_traceback: bool) -> int:
    if isinstance(error, KeyboardInterrupt):
        say(program, str(error) or "interrupted")
        return error.code if isinstance(error, Interrupted) else INTERRUPT
    causes = list(_leaves(error))
    if any(isinstance(one, OSError) and _name(one) == STDOUT for one in causes):
        _drop_stdout()  # it is said once, and not again for what is still in the buffer
    if all(isinstance(one, refused) or _of_files_and_ports(one) for one in causes):
        for one in causes:
            say(program, _text(one))
        return BAD_INPUT
    where = _keep(program, error) if keep_traceback else ""
    if not where:
        traceback.print_exception(error)
    first = _text(causes[0]).split("\n", 1)[0]
    say(program, f"a defect of ours: {type(causes[0]).__name__}: {first} (traceback: {where or 'above'})")
    return DEFECT


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside a group, recursively; otherwise the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _of_files_and_ports(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in FILES_AND_PORTS


def _text(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "this machine has too little memory for it"
    if type(error).__str__ is not OSError.__str__ or not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    name = _name(error)
    return f"{name}: {error.strerror}" if name else error.strerror


def _name(error: OSError) -> str:
    """The file, or both of a renaming. Writes to files carry its name, and so does all but the current folder."""
    names = " → ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    if not names and error.errno in OF_A_WRITE:
        return STDOUT
    return names or ("the working folder" if error.errno == errno.ENOENT else "")


def say(program: str, text: str) -> None:
    """Prints each line of `text` to stderr after the program's name, control characters escaped, at most `LINE_MAX`."""
    for line in text.splitlines() or [""]:
        shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
        if len(shown) > LINE_MAX:
            shown = f"{shown[: LINE_MAX - 1]}…"
        with suppress(OSError, ValueError, AttributeError):  # stderr is gone; the exit code still counts
            print(f"{program}: {shown}", file=sys.stderr, flush=True)


def _keep(program: str, error: BaseException) -> str:
    """Writes the traceback to a temporary file and returns its name; empty if that fails."""
    try:
        number, name = tempfile.mkstemp(prefix=f"{program}-defect-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return ""
    return name


def _tolerate_any_terminal() -> None:
    """Replaces characters that the terminal's encoding lacks; they must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _drop_stdout() -> None:
    """Points stdout, of which nobody takes more, to the null device, so that the flush at exit does not fail again."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
