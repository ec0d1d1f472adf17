"""`aftershock validate`: its exit codes, its page, and its mistakes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies.validation import command
from chaos.studies.validation.command import ROWS, render
from chaos.studies.validation.rows import Row, formula

EVEN = Row("V98", "a coin", "a fair coin", "A", "none", 2, (formula("heads", 0.5, 0.1),), lambda _s, _t: {"heads": 0.5})
ODD = Row("V99", "a coin", "a bent coin", "A", "none", 2, (formula("heads", 0.5, 0.1),), lambda _s, _t: {"heads": 0.9})


def test_the_page_has_every_row_with_its_seeds_and_its_band() -> None:
    page = render([EVEN.judged([{"heads": 0.5}] * 2), ODD.judged([{"heads": 0.9}] * 2)])
    assert "Seeds 1 to 2" in page
    assert "| heads | 0.5 | 0.5 ± 0 | 0.5 to 0.5 | agrees |\n" in page
    assert "| heads | 0.5 | 0.9 ± 0 | 0.5 to 0.5 | DIFFERS, unexplained |\n" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["V77"], "unknown row 'V77'; known: V01"),
        (["--seeds", "1"], "1 is not in the range"),
        (["V01", "--page", "x.md"], "--page: holds all rows"),
        (["--set", "identity"], "should be section.field=value"),
        (["V02", "--set", "identity.nonsense=1"], "identity.nonsense: unknown setting"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["validate", *arguments])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_row_in_its_band_is_exit_code_0_and_one_outside_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        """Runs a job at once, in this process."""

        def __enter__(self) -> "Here":
            return self

        def __exit__(self, *_error: object) -> None: ...

        def submit(self, perform: object, *arguments: object) -> "Here":
            self.result = lambda: perform(*arguments)  # type: ignore[operator]
            kept = Here()
            kept.result = self.result
            return kept

    monkeypatch.setattr(command, "ROWS", {"V98": EVEN, "V99": ODD})
    monkeypatch.setattr(command, "processes", lambda _jobs: Here())
    even = CliRunner().invoke(main, ["validate", "V98"])
    assert (even.exit_code, "1 of 1 rows as published" in even.output) == (0, True), even.output
    odd = CliRunner().invoke(main, ["validate"])
    assert (odd.exit_code, "out of band: V99" in odd.output) == (1, True), odd.output


def test_the_committed_page_is_of_the_rows_there_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "validation.md").read_text()
    for row in ROWS.values():
        assert f"## {row.id}: {row.source}\n" in page
        assert row.setup in page
        assert f"Seeds 1 to {row.seeds}. " in page
        for published in row.published:
            assert f"| {published.name} | {published.text} |" in page
    assert "unexplained" not in page
    assert "UNDECIDED" not in page
