"""Cached results on disk, so that a study can be interrupted and resumed.

The key covers everything that affects a run.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter

from chaos.experiment.runs import RunFolderError, replace
from chaos.record.files import NotWhole, sealed, unsealed
from chaos.record.retention import tidy_results, used
from chaos.verdict.model import NEVER_WORD
from chaos.verdict.times import NEVER
from services.parts.loading import part_sources

J = TypeVar("J")
R = TypeVar("R")
JsonDocument = dict[str, Any]

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos")
ONLY_SHOWN = (
    "chaos/report/",
    "chaos/record/retention.py",
    "chaos/soak/",
    "chaos/cli.py",
    "chaos/command/",
    "chaos/progress/",
    "chaos/studies/campaign/collect.py",
    "chaos/studies/campaign/command.py",
    "chaos/studies/campaign/conformance.py",
    "chaos/studies/campaign/draws.py",
    "chaos/verdict/claim_sets/fnj8_vqz/explanations.",
    "chaos/studies/files.py",
    "chaos/studies/map/command.py",
    "chaos/studies/map/files.py",
    "chaos/studies/map/options.py",
    "chaos/studies/map/page.py",
    "chaos/studies/map/words.py",
    "chaos/studies/matrix/command.py",
    "chaos/studies/matrix/files.py",
    "chaos/studies/matrix/markdown.py",
    "chaos/studies/matrix/page.py",
    "chaos/studies/matrix/search.py",
    "chaos/studies/matrix/summary.py",
    "chaos/studies/matrix/words.py",
    "chaos/studies/page.py",
    "chaos/studies/results/",
    "chaos/studies/size/answers.py",
    "chaos/studies/size/command.py",
    "chaos/studies/size/options.py",
    "chaos/studies/size/page.py",
    "chaos/studies/size/plan.py",
    "chaos/studies/statistics.py",
    "chaos/studies/validation/",
    "chaos/studies/words.py",
)
"""Sources that select runs or present results, and do not affect a result; and the validation, which caches nothing."""


Figure = Annotated[
    float | None,
    BeforeValidator(lambda value: NEVER if value == NEVER_WORD else value),
    PlainSerializer(lambda value: NEVER_WORD if value == NEVER else value, when_used="json"),
]
"""A measured value: None if not measured, infinite if the awaited event never occurred, which is a word in JSON."""


class Codec(Generic[J, R]):
    """Key and serialisation of a kind of job and its results, which are dataclasses."""

    def __init__(
        self, study: str, result: type[R], decides: Callable[[J], JsonDocument], failed: Callable[[J, str], R]
    ) -> None:
        """`study`: its name; the results are kept in `runs/<study>-cache`.

        `decides` gives all inputs of the run and its judgement, as a JSON document. `failed` gives the result for a run
        that failed; it is never cached.
        """
        self.study = study
        self.decides = decides
        self.failed = failed
        self._adapter = TypeAdapter(result)

    def to_document(self, result: R) -> JsonDocument:
        document: JsonDocument = self._adapter.dump_python(result, mode="json")
        return document

    def from_document(self, document: JsonDocument) -> R:
        """The result in a document of `to_document`.

        Raises:
            ValueError: another one did not write it; an empty one would be a result without a value.
        """
        found = self._adapter.validate_python(document)
        if self.to_document(found).keys() != document.keys():
            raise ValueError(f"{self.study}: not all fields of a result, and nothing else")
        return found


@lru_cache(maxsize=1)
def code_hash(root: Path = ROOT) -> str:
    """SHA-256 of the sources of all packages and the interpreter version."""
    return tree_hash(root, (".py", ".yaml"), ONLY_SHOWN)


def tree_hash(root: Path, suffixes: Sequence[str], without: tuple[str, ...] = ()) -> str:
    """SHA-256 of the files of all packages with these suffixes and of the interpreter version."""
    digest = hashlib.sha256(sys.version.encode())
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in suffixes and not name.startswith(without):
                digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def parts_hash() -> str:
    """SHA-256 of the user's own parts; empty without any. Not cached: they are declared while a command starts."""
    sources = part_sources()
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources))
    return digest.hexdigest() if sources else ""


def key(decides: JsonDocument, code: str) -> str:
    """SHA-256 of the code and the inputs of the run."""
    return hashlib.sha256(json.dumps([code, decides], sort_keys=True, default=str).encode()).hexdigest()


ODD_SHAPE = (KeyError, TypeError, ValueError)
"""What reading raises at a document that `put` did not write."""


class Cache(Generic[J, R]):
    """A folder with one JSON file per result."""

    def __init__(self, folder: Path, codec: Codec[J, R], code: str | None = None) -> None:
        self._folder = folder
        self.codec = codec
        self._code = code or code_hash() + parts_hash()
        self._keys: dict[J, str] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{folder}: cannot keep results there: {error.strerror}") from error
        tidy_results(folder)

    def get(self, job: J) -> R | None:
        """The cached result; None if there is none, or it is damaged or of another shape: then it is computed again."""
        try:
            found = self.codec.from_document(unsealed(self._path(job))["result"])
            used(self._path(job))
            return found
        except (OSError, NotWhole, *ODD_SHAPE):
            return None

    def put(self, job: J, result: R) -> None:
        document = {"job": str(job), "result": self.codec.to_document(result)}
        replace(self._path(job), json.dumps(sealed(document), indent=1))

    def _path(self, job: J) -> Path:
        if job not in self._keys:
            self._keys[job] = key(self.codec.decides(job), self._code)
        return self._folder / f"{self._keys[job]}.json"

    def __repr__(self) -> str:
        return f"<Cache {self._folder}>"
