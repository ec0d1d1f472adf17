"""The documentation says what the code does."""

import re
from pathlib import Path

from click.testing import CliRunner

from chaos.cli import main
from chaos.controller import metrics_page
from chaos.faults.registry import CATALOGUE
from compose.virtual.kernel.boundary_table import as_markdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXTS = {".py", ".yaml", ".md", ".j2", ".html"}
FOR_DEVELOPERS = ("architecture.md", "developing.md", "adding-a-fault.md")
PLACE = re.compile(r"`((?:services|loadgen|compose|chaos|grafana|tests|docs)/[^`\s*]*)`")
CITATION = re.compile(r"(?<![\w/.-])((?:docs/)?(?:guide/|incidents/)?[a-z][a-z0-9-]*\.md)\b(?!\w|\.)(?: §(\d+))?")


def test_the_boundary_table_is_the_one_in_force() -> None:
    assert as_markdown().strip() in (DOCS / "determinism.md").read_text()


def test_every_fault_is_described() -> None:
    page = (DOCS / "chaos-api.md").read_text()
    assert [kind for kind in CATALOGUE if f"| `{kind}` |" not in page] == []


def test_the_page_of_metrics_is_what_the_registries_hold() -> None:
    assert (DOCS / "metrics.md").read_text() == metrics_page.page()


def test_every_page_that_a_file_cites_exists_with_its_section() -> None:
    """A section is cited as `docs/model.md §2`, and is the heading `## 2. …` there."""
    cited = {found for path in _texts() for found in CITATION.findall(path.read_text()) if _is_ours(path, found[0])}
    assert len(cited) > 20
    missing = {page for page, _section in cited if not _page(page).is_file()}
    assert missing == set()
    lost = {f"{page} §{section}" for page, section in cited if section and not _has_section(_page(page), section)}
    assert lost == set()


def _texts() -> list[Path]:
    """Files of ours that cite pages: sources, tests and the pages themselves."""
    folders = ("services", "loadgen", "compose", "chaos", "grafana", "tests", "docs")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS]
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *found]


def _is_ours(path: Path, name: str) -> bool:
    """Tests make files of their own; what they cite stands in `docs/`."""
    return "tests" not in path.parts or name.startswith("docs/")


def _page(name: str) -> Path:
    places = (ROOT, DOCS, DOCS / "guide", DOCS / "incidents")
    return next((place / name for place in places if (place / name).is_file()), DOCS / name.removeprefix("docs/"))


def _has_section(page: Path, number: str) -> bool:
    return re.search(rf"^## {number}\. ", page.read_text(), re.MULTILINE) is not None


def test_every_file_and_folder_that_the_pages_for_developers_name_exists() -> None:
    named = {(page, place) for page in FOR_DEVELOPERS for place in PLACE.findall((DOCS / page).read_text())}
    assert len(named) > 60
    assert sorted(one for one in named if not (ROOT / one[1]).exists()) == []


def test_the_table_of_packages_has_every_package_of_chaos_and_services() -> None:
    table = (DOCS / "architecture.md").read_text().partition("| place | holds |")[2].partition("\n\n")[0]
    packages = [path.parent for top in ("chaos", "services") for path in (ROOT / top).glob("*/__init__.py")]
    assert [path.name for path in packages if f"{path.name}/`" not in table] == []


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
