"""The source tree keeps its own rules; each message says what to do instead."""

import ast
import re
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


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES_MAX, "two ideas: split it"
    if path.name != "__main__.py" or len(text.splitlines()) > 6:
        assert ast.get_docstring(ast.parse(text)), "say its purpose in a docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines: split it"


@pytest.mark.parametrize("path", [p for p in SOURCES if name(p) not in OWNERS and "virtual" not in p.parts], ids=name)
def test_time_and_chance_have_one_owner_each(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        code = line.split("#", 1)[0]
        for pattern, instead in BANNED.items():
            assert not re.search(pattern, code), f"line {number}: use {instead}: {line.strip()}"


@pytest.mark.parametrize("service", ["blobstore", "provisioner", "identity", "router"])
def test_every_service_folder_has_the_same_files(service: str) -> None:
    assert {path.name for path in (ROOT / "services" / service).glob("*.py")} >= SERVICE_FILES


def test_the_top_level_holds_what_was_asked_for() -> None:
    ignored = {".git", ".venv", "runs", "build", "node_modules"}
    names = {path.name for path in ROOT.iterdir()} - ignored
    visible = {entry for entry in names if not entry.startswith(".") and not entry.endswith(".egg-info")}
    assert visible <= TOP_LEVEL | TOP_LEVEL_FILES
    assert visible >= TOP_LEVEL
