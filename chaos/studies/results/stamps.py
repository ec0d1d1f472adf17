"""The stamp of a step's last success: key, files, wall time and exit code, in `runs/results/<step>.json`.

A step whose stamp still fits is skipped. A run inside a step is never repeated either: the studies have caches of their
own (`studies/cache.py`).
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chaos.experiment.runs import replace
from chaos.record.files import NotWhole, sealed, unsealed
from chaos.studies.cache import ROOT, tree_hash
from chaos.studies.results.plan import Step

SUFFIXES = (".py", ".yaml", ".j2", ".css", ".html")


class Stamp(NamedTuple):
    """`key` covers what decides the files, `files` is their SHA-256."""

    key: str
    files: dict[str, str]
    took_s: float
    exit_code: int


@lru_cache(maxsize=1)
def sources_hash(root: Path = ROOT) -> str:
    """SHA-256 of everything that decides a page: the sources and, unlike for a run, what only presents them."""
    return tree_hash(root, SUFFIXES)


class Stamps:
    """The stamps in a folder, for steps that run in `here`."""

    def __init__(self, folder: Path, here: Path) -> None:
        self._folder = folder
        self._here = here

    def last(self, name: str) -> Stamp | None:
        """The stamp of the last time that a step did its work; None if there is none."""
        try:
            return Stamp(**unsealed(self._path(name))["stamp"])
        except (OSError, NotWhole, TypeError, KeyError):
            return None

    def fits(self, step: Step) -> bool:
        """Whether the step need not run: same code, same command, same inputs, and its files are as it left them."""
        last = self.last(step.name)
        return last is not None and last.key == self._key(step) and last.files == self._files(step.writes)

    def put(self, step: Step, took_s: float, exit_code: int) -> None:
        """Writes the stamp of a step that has done its work."""
        stamp = Stamp(self._key(step), self._files(step.writes), round(took_s, 1), exit_code)
        replace(self._path(step.name), json.dumps(sealed({"stamp": stamp._asdict()}), indent=1))

    def _key(self, step: Step) -> str:
        inputs = {name: last.files for name in step.needs if (last := self.last(name)) is not None}
        return hashlib.sha256(json.dumps([sources_hash(), step.run, inputs], sort_keys=True).encode()).hexdigest()

    def _files(self, paths: tuple[str, ...]) -> dict[str, str]:
        return {path: _digest(self._here / path) for path in paths}

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
