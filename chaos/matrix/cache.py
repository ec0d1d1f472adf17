"""Outcomes on disk, so that a matrix can be stopped and resumed. What could change a run is part of its key."""

import hashlib
import json
import sys
from functools import lru_cache
from pathlib import Path

from chaos.matrix.job import TRANSPORT, Job, from_document, to_document
from chaos.matrix.outcomes import Outcome
from chaos.runs import RunFolderError

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos")
SOURCES = (".py", ".yaml")
ONLY_SHOWN = ("chaos/report/", "chaos/cli.py", "chaos/matrix/page.py", "chaos/matrix/command.py")
"""Sources that show results and cannot change them."""


@lru_cache(maxsize=1)
def code_hash(root: Path = ROOT) -> str:
    """SHA-256 over the sources of all packages, and the interpreter's version."""
    digest = hashlib.sha256(sys.version.encode())
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in SOURCES and not name.startswith(ONLY_SHOWN):
                digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def key(job: Job, code: str) -> str:
    """SHA-256 of the code and of the plan: scenario, seed, mitigations and every setting."""
    document = job.plan().document("virtual", TRANSPORT, "")
    text = json.dumps([code, document], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder with one JSON file an outcome."""

    def __init__(self, folder: Path, code: str | None = None) -> None:
        self._folder = folder
        self._code = code or code_hash()
        self._keys: dict[Job, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{folder}: cannot keep outcomes there: {error.strerror}") from error

    def get(self, job: Job) -> Outcome | None:
        """What was kept; None when nothing was, or the file is damaged."""
        try:
            return from_document(json.loads(self._path(job).read_text(encoding="utf-8"))["outcome"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, job: Job, outcome: Outcome) -> None:
        path = self._path(job)
        document = {"scenario": job.scenario, "seed": job.seed, "mitigations": job.mitigations}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({**document, "outcome": to_document(outcome)}, indent=1), encoding="utf-8")
        partial.replace(path)

    def _path(self, job: Job) -> Path:
        if job not in self._keys:
            self._keys[job] = key(job, self._code)
        return self._folder / f"{self._keys[job]}.json"

    def __repr__(self) -> str:
        return f"<Cache {self._folder}>"
