"""The course shows what its commands print. `python -m tests.guide.guide_pages` brings it up to date."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.guide.guide_pages import BLOCK, GUIDE, Block, GuideError, blocks, chapters, pages, run_guide


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_prints_what_its_page_shows() -> None:
    old = [
        f"{block.page}: {block.command}\nshows:\n{block.shown}\nshould show:\n{shown}"
        for block, shown in run_guide(fast=True)
        if shown != block.shown
    ]
    assert not old, "\n".join([*old, "bring it up to date: python -m tests.guide.guide_pages"])


def test_there_are_six_chapters_and_each_measures_more_than_once() -> None:
    assert len(chapters()) == 6
    for page in chapters():
        found = blocks(page)
        assert len(found) >= 2, page.name
        assert not all(block.slow for block in found), page.name
        assert "## Question" in page.read_text(), page.name


def test_the_index_names_every_chapter_and_every_link_leads_somewhere() -> None:
    index = (GUIDE / "README.md").read_text()
    assert all(page.name in index for page in pages())
    for page in (*pages(), GUIDE / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (GUIDE / target).exists(), f"{page.name}: {target}"


def test_slow_blocks_use_no_run_that_comes_later() -> None:
    made: set[str] = set()
    for page in pages():
        for block in blocks(page):
            words = block.command.split()
            if words[1] == "diff":
                assert set(words[2:4]) <= made, block
            made.update(after for word, after in pairwise(words) if word == "--out")


def test_a_block_shows_the_lines_that_were_asked_for_in_order() -> None:
    block = Block("page", "aftershock", ("^b", "^d"), "")
    assert block.shows("a\n\nb 1\nc\nc\nd\ne\n") == "…\nb 1\n…\nd\n…\n"
    with pytest.raises(GuideError, match=r"page: aftershock: no line has '\^d'"):
        block.shows("a\nb\n")


def test_a_fence_that_would_not_be_run_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "9.md"
    page.write_text("```console\n$ aftershock scenarios\n```\n")
    assert BLOCK.search(page.read_text()) is None
    with pytest.raises(GuideError, match=r"9\.md: a console block without `show`"):
        blocks(page)
