"""The source tree keeps its own rules; each message says what to do instead."""

import ast
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
BANNED = {
    r"(?<![\w.])time\.(time|monotonic|perf_counter|sleep)\(": "env.clock, or asyncio.sleep",
    r"datetime\.(now|utcnow)\(": "env.clock.utc()",
    r"(?<![\w.\[])random\.(random|randint|choice|uniform|shuffle|expovariate|gauss)\(": "env.streams[name]",
    r"uuid\.uuid[14]\(|(?<![\w.])uuid4\(": "streams.uuid() or stable_uuid(name)",
    r"os\.urandom\(|(?<![\w.])secrets\.token": "services.chassis.streams",
}
OWNERS = {"services/chassis/clock.py", "services/chassis/streams.py"}
SERVICE_FILES = {"__init__.py", "__main__.py", "app.py", "handlers.py", "metrics.py", "settings.py", "state.py"}
TOP_LEVEL = {"services", "compose", "loadgen", "chaos", "tests", "grafana", "docs", "Makefile", "README.md"}
TOP_LEVEL_FILES = {"pyproject.toml", "requirements.lock", "LICENSE", "CHANGELOG.md"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_stub(path: Path) -> bool:
    return path.name == "__main__.py" and len(path.read_text().splitlines()) <= 6


def test_modules_are_short() -> None:
    long = [name(path) for path in SOURCES if len(path.read_text().splitlines()) > MODULE_LINES_MAX]
    assert long == [], "two ideas: split it"


def test_every_module_says_what_it_is_for() -> None:
    silent = [name(p) for p in SOURCES if not is_stub(p) and not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == [], "say its purpose in a docstring"


def test_functions_are_short() -> None:
    long = {
        f"{name(path)}:{node.name}": lines_of(node)
        for path in SOURCES
        for node in functions(path)
        if lines_of(node) > FUNCTION_LINES_MAX
    }
    assert long == {}, "split it"


def test_time_and_chance_have_one_owner_each() -> None:
    found = [
        f"{name(path)}:{number}: use {instead}: {line.strip()}"
        for path in SOURCES
        if name(path) not in OWNERS and "virtual" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for pattern, instead in BANNED.items()
        if re.search(pattern, line.split("#", 1)[0])
    ]
    assert found == []


@pytest.mark.parametrize("service", ["blobstore", "provisioner", "identity", "router"])
def test_every_service_folder_has_the_same_files(service: str) -> None:
    assert {path.name for path in (ROOT / "services" / service).glob("*.py")} >= SERVICE_FILES


def test_the_top_level_holds_what_was_asked_for() -> None:
    ignored = {".git", ".venv", "runs", "build", "node_modules"}
    names = {path.name for path in ROOT.iterdir()} - ignored
    visible = {entry for entry in names if not entry.startswith(".") and not entry.endswith(".egg-info")}
    assert visible <= TOP_LEVEL | TOP_LEVEL_FILES
    assert visible >= TOP_LEVEL


def test_temporary_files_of_tests_and_of_their_processes_go_with_the_run(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> None:
    base = tmp_path_factory.getbasetemp()
    assert base in Path(tempfile.gettempdir()).parents
    shell = subprocess.run(["mktemp", "-u"], capture_output=True, text=True, check=True)
    assert base in Path(shell.stdout).parents
    assert pytestconfig.getini("tmp_path_retention_policy") == "failed", "the folder of a run that passes is removed"
