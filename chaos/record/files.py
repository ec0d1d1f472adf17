"""The files of a record. A write error is reported once, with the path; a damaged or incomplete record is not read.

Files that are not appended to are written beside their name and renamed: a reader sees the old file or the new one.

`manifest.json` is written when a record is closed. It has the record version and, for every file, the size, the SHA-256
and a checksum per hundred lines, to locate damage. A folder without a manifest was never closed: its run is still in
progress, or was killed.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

VERSION = 2
"""Version of the record's content. Raise it when older records can no longer be judged like new ones."""
PLAN_FILE, EVENTS_FILE, ARRIVALS_FILE, METRICS_FILE = "plan.json", "events.jsonl", "arrivals.csv", "metrics.npz"
RECORD_FILES = (PLAN_FILE, EVENTS_FILE, ARRIVALS_FILE, METRICS_FILE)
TRACES_FILE = "traces.jsonl"
"""Only of a run that was traced."""
MANIFEST_FILE = "manifest.json"
VERSION_KEY = "record_version"
BLOCK_LINES = 100
SEAL = "sha256"
PARTIAL = ".partial"
"""How the name of a file ends that is being written."""


class NotWhole(ValueError):
    """A file, or a value in the store, differs from what was written, or is missing; the message names it."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Adds the file name to an OSError that has none."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives the path to write to, and renames it to `path` at the end; removes it after an error.

    After a SIGKILL it stays; `record/retention.py` removes it later.

    Raises:
        OSError: with the name of the file.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class LinesFile:
    """An append-only text file. Write errors are raised by `flush`, not by `write`, whose caller reports an event."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._failure: OSError | None = None

    def write(self, text: str) -> int:
        """Writes text. After the first error, which `flush` raises, nothing more is written."""
        if self._failure is None:
            try:
                with named(self.path):
                    self._file.write(text)
            except OSError as error:
                self._failure = error
        return len(text)

    def flush(self) -> None:
        """Passes the written text to the operating system.

        Raises:
            OSError: this or an earlier write failed; with the name of the file.
        """
        if self._failure is None:
            try:
                with named(self.path):
                    self._file.flush()
            except OSError as error:
                self._failure = error
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Flushes and closes the file; it is closed even if flushing fails."""
        try:
            self.flush()
        finally:
            with suppress(OSError):
                self._file.close()


# Sealing


def seal(folder: Path) -> None:
    """Writes the manifest of a complete record, atomically."""
    files = {name: _entry(folder / name) for name in (*RECORD_FILES, TRACES_FILE) if (folder / name).exists()}
    text = json.dumps({VERSION_KEY: VERSION, "files": files}, indent=1) + "\n"
    with whole(folder / MANIFEST_FILE) as partial:
        partial.write_text(text, encoding="utf-8")


def _entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    entry: dict[str, Any] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if path.name != METRICS_FILE:
        lines = content.splitlines(keepends=True)
        entry |= {"lines": len(lines), "blocks": list(_blocks(lines))}
    return entry


def _blocks(lines: Sequence[bytes]) -> Iterator[str]:
    for first in range(0, len(lines), BLOCK_LINES):
        yield f"{zlib.crc32(b''.join(lines[first : first + BLOCK_LINES])):08x}"


# Reading


def verify(folder: Path) -> None:
    """Checks every file of the record against the manifest.

    Raises:
        NotWhole: the first file that differs, with the line.
        OSError: a file cannot be read.
    """
    plan = folder / PLAN_FILE
    if not plan.is_file():
        raise NotWhole(f"{folder}: not a run: {PLAN_FILE} is missing")
    manifest = folder / MANIFEST_FILE
    if not manifest.is_file():
        raise NotWhole(_unsealed(folder, plan))
    document = _manifest(manifest)
    for name in (*RECORD_FILES, TRACES_FILE):
        if name not in document:
            if (folder / name).exists():
                raise NotWhole(f"{folder / name}: not a file of this run")
            if name == TRACES_FILE:
                continue
            raise NotWhole(f"{manifest}: has no entry for {name}")
        if not (folder / name).is_file():  # a FIFO would be waited for
            raise NotWhole(f"{folder / name}: is missing")
        _compare(folder / name, document[name])


def _unsealed(folder: Path, plan: Path) -> str:
    document = read_json(plan)
    if not isinstance(document, dict) or document.get(VERSION_KEY) != VERSION:
        return f"{plan}: written by another version of Aftershock; run it again: {_command(document)}"
    return f"{folder}: the record was never closed ({MANIFEST_FILE} is missing): its run is in progress or was killed"


def _command(plan: object) -> str:
    return str(plan.get("command") or "with the same scenario and seed") if isinstance(plan, dict) else "its command"


def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    document = read_json(path)
    version = document.get(VERSION_KEY) if isinstance(document, dict) else None
    if version != VERSION:
        raise NotWhole(f"{path}: a record of version {version!r}; this Aftershock reads version {VERSION}")
    files = document.get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise NotWhole(f"{path}: not a manifest: no `files` in it")
    return files


def _compare(path: Path, entry: dict[str, Any]) -> None:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() == entry.get("sha256"):
        return
    blocks, count = entry.get("blocks"), entry.get("lines")
    if not isinstance(blocks, list) or not isinstance(count, int):
        size = f"{len(content)} bytes instead of {entry.get('bytes')}" if len(content) != entry.get("bytes") else ""
        raise NotWhole(f"{path}: damaged, or of another run{size and ': '}{size}")
    raise NotWhole(_damage(path, content.splitlines(keepends=True), blocks, count))


def _damage(path: Path, lines: Sequence[bytes], blocks: Sequence[str], count: int) -> str:
    """The location of the first difference: a line, or a block of a hundred lines."""
    found = list(_blocks(lines))
    same = next(
        (n for n, (a, b) in enumerate(zip(found, blocks, strict=False)) if a != b), min(len(found), len(blocks))
    )
    first, last = same * BLOCK_LINES + 1, min((same + 1) * BLOCK_LINES, len(lines))
    if len(lines) < count and same >= len(found) - 1:
        return f"{path}:{max(len(lines), 1)}: ends here; its run wrote {count} lines"
    if path.suffix == ".jsonl":
        for number, line in enumerate(lines[first - 1 : last], first):
            with suppress(ValueError, RecursionError):
                json.loads(line)
                continue
            return f"{path}:{number}: not JSON: damaged"
    if len(lines) > count and first > count:
        return f"{path}:{count + 1}: its run wrote only {count} lines"
    return f"{path}:{first}: not what its run wrote, between here and line {last}: damaged, or of another run"


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """Adds the document's SHA-256 to it, so that a truncated or changed file is detected."""
    return {**document, SEAL: _digest(document)}


def unsealed(path: Path) -> dict[str, Any]:
    """Reads a document written with `sealed`, and removes the seal.

    Raises:
        NotWhole: the seal is missing or does not match.
        OSError: the file cannot be read.
    """
    document = read_json(path)
    if not isinstance(document, dict) or SEAL not in document:
        raise NotWhole(f"{path}:1: no `{SEAL}` in it: not a file of this version of Aftershock")
    seal = document.pop(SEAL)
    if seal != _digest(document):
        raise NotWhole(f"{path}:1: not what was written: damaged, or changed by hand")
    return document


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        NotWhole: it is not valid JSON; the message names file and line.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise NotWhole(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NotWhole(f"{path}:{line}: not JSON: not UTF-8 text") from error
    except RecursionError as error:
        raise NotWhole(f"{path}:1: not JSON of ours: nested too deep") from error
    except ValueError as error:  # a number of many thousand digits
        raise NotWhole(f"{path}:1: not JSON of ours: {error}") from error
