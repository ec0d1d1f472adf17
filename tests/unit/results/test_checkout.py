"""Pages that are made again do not mark the next page's commit as changed; what they were measured with does."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from chaos.studies.results import command
from chaos.studies.results.checkout import without_pages
from chaos.studies.results.command import results_command
from chaos.studies.results.plan import ResultsPlan, Step
from services.chassis.clock import system_clock

STATUS = "git status --porcelain --untracked-files=no"


def git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def changed(folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Names of the changed files, as `commit()` asks for them."""
    return git(folder, *STATUS.split()[1:], environment=environment).split()[1::2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a page and a source."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q")
    for name in ("page.md", "source.py"):
        (root / name).write_text("as committed")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    return root


def test_a_page_is_no_change_and_a_source_is_one(checkout: Path) -> None:
    with without_pages([checkout / "page.md", checkout / "new.md"], checkout) as environment:
        for name in ("page.md", "new.md"):
            (checkout / name).write_text("made again")
        assert changed(checkout, environment) == []
        assert changed(checkout) == ["page.md"], "the checkout's own index has been written"
        (checkout / "source.py").write_text("changed")
        assert changed(checkout, environment) == ["source.py"]
    assert not Path(environment["GIT_INDEX_FILE"]).exists()


def test_outside_of_a_checkout_nothing_is_added(tmp_path: Path, checkout: Path) -> None:
    for pages, root in (([tmp_path / "page.md"], tmp_path), ([tmp_path / "page.md"], checkout)):
        with without_pages(pages, root) as environment:
            assert environment == {}


def test_the_second_step_of_a_plan_sees_no_change_by_the_first(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "without_pages", lambda pages: without_pages(pages, checkout))
    ask = f"import subprocess; print(subprocess.run({STATUS.split()}, capture_output=True, text=True).stdout, end='')"
    plan = ResultsPlan(
        steps=(
            Step(name="first", run='python -c "print(1)"', writes=("page.md",), prints_page=True),
            Step(name="second", run=f'python -c "{ask}"', writes=("second.md",), prints_page=True),
        )
    )
    assert results_command(plan, 1, Console(quiet=True), system_clock(), here=checkout, folder=tmp_path / "stamps") == 0
    assert (checkout / "page.md").read_text() == "1\n"
    assert (checkout / "second.md").read_text() == ""
    assert changed(checkout) == ["page.md"]
