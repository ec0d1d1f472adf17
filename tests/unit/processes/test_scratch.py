"""Temporary folders of killed processes do not pile up; those in use, and other people's, stay."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from compose.scratch import LOCK, PREFIX, scratch_folder

KILLED = """
import os, signal
from compose.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "redis.log").write_text("some lines")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_killed_process_leaves_its_folder_to_the_next(temporary: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -signal.SIGKILL
    [left] = temporary.glob(f"{PREFIX}*")
    assert sorted(path.name for path in left.iterdir()) == [LOCK, "redis.log"]
    with scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_a_folder_in_use_and_one_that_is_not_ours_stay(temporary: Path) -> None:
    theirs = temporary / f"{PREFIX}notes"
    theirs.mkdir()
    with scratch_folder() as first, scratch_folder() as second:
        assert sorted(temporary.iterdir()) == sorted([theirs, first, second])
    assert list(temporary.iterdir()) == [theirs]


def test_what_a_link_points_to_stays(temporary: Path) -> None:
    (elsewhere := temporary / "elsewhere").mkdir()
    (elsewhere / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    with scratch_folder():
        assert (elsewhere / LOCK).exists()
