"""How a program of ours ends: one table of exit codes, and the one place that chooses from it.

    0  as expected        1  contradicted        2  bad input, or could not be judged        3  a defect of ours
    129, 130, 143         ended by SIGHUP, SIGINT, SIGTERM

A shell and a CI job read nothing but this number, so an exception that nobody caught must not look like a verdict.
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
"""Errors of the operating system that say something of the user's disk, rights and ports, and nothing of our code."""

OF_A_WRITE = frozenset({errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE})

Refused = tuple[type[BaseException], ...]


def surroundings() -> Refused:
    """What a program's user or its machine can get wrong, wherever it comes up."""
    from redis.exceptions import RedisError

    from services.chassis.settings import SettingsError

    return SettingsError, RedisError, MemoryError


def run(
    program: str, body: Callable[[], Any], refused: Callable[[], Refused] = tuple, *, keep_traceback: bool = True
) -> int:
    """Runs `body` and returns the exit code: its own number, or the one for what it raised, which is said on stderr.

    Args:
        refused: gives the exceptions that mean bad input, besides `surroundings`; asked when there is one.
        keep_traceback: the traceback of a defect goes to a file that the line names; else to stderr, above the line.
    """
    _tolerate_any_terminal()
    try:
        with listening():
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
    """Python itself would do so at the very end, and make 120 of a disk that is full."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop_stdout()
        raise OSError(error.errno, error.strerror, "standard output") from error
    except (AttributeError, ValueError):
        return  # there is none, or it is closed


def _said(program: str, error: BaseException, refused: Refused, keep_traceback: bool) -> int:
    if isinstance(error, KeyboardInterrupt):
        say(program, str(error) or "interrupted")
        return error.code if isinstance(error, Interrupted) else INTERRUPT
    causes = list(_leaves(error))
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
    """A group of exceptions is judged by what is in it."""
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
    names = " → ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    if not names and error.errno in OF_A_WRITE:
        names = "standard output"  # whoever writes a file of ours names it
    return f"{names}: {error.strerror}" if names else error.strerror


def say(program: str, text: str) -> None:
    """Each line of `text` on stderr as one line after the program's name: no control characters, no endless value."""
    for line in text.splitlines() or [""]:
        shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
        if len(shown) > LINE_MAX:
            shown = f"{shown[: LINE_MAX - 1]}…"
        with suppress(OSError, ValueError, AttributeError):  # nobody hears it, and the code still counts
            print(f"{program}: {shown}", file=sys.stderr, flush=True)


def _keep(program: str, error: BaseException) -> str:
    """The file that has the traceback now; empty when there is no place for one."""
    try:
        number, name = tempfile.mkstemp(prefix=f"{program}-defect-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return ""
    return name


def _tolerate_any_terminal() -> None:
    """A sign that the terminal's encoding does not have is replaced; it must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _drop_stdout() -> None:
    """Whoever read our output has gone: what is still in the buffer must not fail once more at the very end."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
