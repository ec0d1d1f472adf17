"""The checkout while its pages are made again: a page is no change of what it was measured with."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.studies.cache import ROOT

GIT_S = 10.0
INDEX = "GIT_INDEX_FILE"


@contextmanager
def without_pages(pages: Iterable[Path], root: Path = ROOT) -> Iterator[Mapping[str, str]]:
    """The environment in which git takes no notice of changes to `pages`, so that a page does not mark the next one's
    commit as changed. It is a copy of the index; the checkout's own stays as it is. Empty where there is nothing to do.
    """
    with TemporaryDirectory(prefix="aftershock-") as folder:
        index = Path(folder, "index")
        try:
            known = _git(root, "ls-files", "-z", "--", *map(str, pages)).split("\0")[:-1]
            shutil.copy2(root / _git(root, "rev-parse", "--git-path", "index"), index)
            environment = {INDEX: str(index)}
            _git(root, "update-index", "--assume-unchanged", "--", *known, environment=environment)
        except (OSError, subprocess.SubprocessError):  # no git, no checkout, or pages that are in none
            environment = {}
        yield environment


def _git(root: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=GIT_S,
    ).stdout.rstrip("\n")
