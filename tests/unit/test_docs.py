"""The documentation says what the code does."""

import re
from pathlib import Path

from click.testing import CliRunner

from chaos.cli import main
from chaos.faults.registry import CATALOGUE
from compose.virtual.kernel.boundary_table import as_markdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_boundary_table_is_the_one_in_force() -> None:
    assert as_markdown().strip() in (DOCS / "determinism.md").read_text()


def test_every_fault_is_described() -> None:
    page = (DOCS / "chaos-api.md").read_text()
    assert all(f"| `{kind}` |" in page for kind in CATALOGUE)


def test_every_command_of_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)`?", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for command in set(re.findall(r"(?:\.venv/bin/)?aftershock ([a-z]+)", text)):
        assert command in main.commands, command


def test_every_page_that_the_readme_names_exists() -> None:
    for page in set(re.findall(r"docs/[a-z-]+\.md", (ROOT / "README.md").read_text())):
        assert (ROOT / page).is_file(), page


def test_bad_input_is_exit_code_2_and_one_clear_line() -> None:
    for arguments, said in (
        (["run", "nothing"], "unknown scenario 'nothing'"),
        (["run", "calm-day", "--set", "identity.speed=1"], "identity.speed: unknown setting"),
        (["run", "calm-day", "--set", "identity.workers=-1"], "identity.workers"),
        (["run", "calm-day", "--with", "R9"], "R9"),
        (["run", "azure-fnj8-vqz", "--shift", "T99=-5m"], "no entry 'T99'"),
        (["run", "azure-fnj8-vqz", "--shift", "T07"], "ID=±MINUTESm"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, arguments
        assert said in result.output, result.output
