"""The files of a record: a full disk is told once and by the file's path, and what is not whole is not read.

`manifest.json` is written when a record is closed: version, and of every file its size, its SHA-256 and a checksum for
each hundred lines, so that damage is found by its line. A folder without one was never closed: its run still goes on,
or was killed.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

VERSION = 1
"""Of what a record holds. Raise it when an older record can no longer be judged as a new one is."""
PLAN_FILE, EVENTS_FILE, ARRIVALS_FILE, METRICS_FILE = "plan.json", "events.jsonl", "arrivals.csv", "metrics.npz"
RECORD_FILES = (PLAN_FILE, EVENTS_FILE, ARRIVALS_FILE, METRICS_FILE)
MANIFEST_FILE = "manifest.json"
VERSION_KEY = "record_version"
BLOCK_LINES = 100
SEAL = "sha256"


class NotWhole(ValueError):
    """A record's files are not what its run wrote; the text names the file and, where there is one, the line."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whoever writes a file learns from an error which file it was; the operating system tells only some."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


class LinesFile:
    """A text file that grows. What cannot be written is told by `flush`, not to whoever reports an event."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._failure: OSError | None = None

    def write(self, text: str) -> int:
        """Keeps the first failure for `flush`; after it nothing is written, so that the file ends where it failed."""
        if self._failure is None:
            try:
                with named(self._path):
                    self._file.write(text)
            except OSError as error:
                self._failure = error
        return len(text)

    def flush(self) -> None:
        """What was written is on the disk.

        Raises:
            OSError: naming the file, when something could not be written, then or before.
        """
        if self._failure is None:
            try:
                with named(self._path):
                    self._file.flush()
            except OSError as error:
                self._failure = error
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """As `flush`; the file is closed in either case."""
        try:
            self.flush()
        finally:
            with suppress(OSError):
                self._file.close()


# Sealing


def seal(folder: Path) -> None:
    """Writes the manifest of a record that is complete; in one step, so that there is a whole one or none."""
    files = {name: _entry(folder / name) for name in RECORD_FILES if (folder / name).exists()}
    text = json.dumps({VERSION_KEY: VERSION, "files": files}, indent=1) + "\n"
    partial = folder / f"{MANIFEST_FILE}.partial"
    try:
        with named(partial):
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / MANIFEST_FILE)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


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
    """Returns when every file of the record is as its run wrote it.

    Raises:
        NotWhole: naming the first file that is not, and the line.
        OSError: when a file cannot be read.
    """
    plan = folder / PLAN_FILE
    if not plan.exists():
        raise NotWhole(f"{folder}: not a run: {PLAN_FILE} is missing")
    manifest = folder / MANIFEST_FILE
    if not manifest.exists():
        raise NotWhole(_unsealed(folder, plan))
    document = _manifest(manifest)
    for name in RECORD_FILES:
        if name not in document:
            if (folder / name).exists():
                raise NotWhole(f"{folder / name}: is not a file of this run")
            raise NotWhole(f"{manifest}: says nothing of {name}")
        if not (folder / name).exists():
            raise NotWhole(f"{folder / name}: is missing")
        _compare(folder / name, document[name])


def _unsealed(folder: Path, plan: Path) -> str:
    document = read_json(plan)
    if not isinstance(document, dict) or document.get(VERSION_KEY) != VERSION:
        return f"{plan}: not of this version of Aftershock; run it again: {_command(document)}"
    return f"{folder}: this record was never closed ({MANIFEST_FILE} is missing): its run still goes on, or was killed"


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
    """The first line, or the first hundred, in which the file differs from what was written."""
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
    """A document of ours with its own SHA-256, so that half of it, or a changed one, is told from a whole one."""
    return {**document, SEAL: _digest(document)}


def unsealed(path: Path) -> dict[str, Any]:
    """What `sealed` made, without the seal.

    Raises:
        NotWhole: naming file and line.
        OSError: when it cannot be read.
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
    """What a JSON file holds.

    Raises:
        NotWhole: naming file and line.
        OSError: when it cannot be read.
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
