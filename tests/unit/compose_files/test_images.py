"""The images, and an installation, hold what the code in them imports, and nothing for its own sake."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import files, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = {"services", "loadgen", "compose", "chaos"}
# The report's page is imported when the first report is written.
CONTROLLER = [
    "chaos.controller.__main__",
    "chaos.controller.serve",
    "chaos.controller.api",
    "chaos.report.page",
    "compose.docker",
]


def listed(name: str) -> set[str]:
    lines = (ROOT / "compose" / f"requirements-{name}.txt").read_text().splitlines()
    return {_normal(line) for line in lines if line and not line.startswith("#")}


def _normal(name: str) -> str:
    return re.split(r"[\[<>=~! ;]", name)[0].lower().replace("_", "-")


def imported(paths: Iterable[Path]) -> set[str]:
    """Distributions whose modules the files import."""
    modules: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    foreign = {name for name in modules if name.partition(".")[0] not in OURS | sys.stdlib_module_names}
    return {_normal(name) for module in foreign for name in _owners(module)}


distributions = cache(packages_distributions)


@cache
def _owners(module: str) -> list[str]:
    """The distributions that have a module; several share a namespace such as `opentelemetry`."""
    top = module.partition(".")[0]
    found = distributions().get(top, [top])
    if len(set(found)) == 1:
        return found
    path = module.replace(".", "/")
    return [name for name in found if any(str(file).startswith((f"{path}/", f"{path}.")) for file in files(name) or ())]


def test_the_services_image_has_what_services_and_load_generator_import() -> None:
    sources = [path for folder in ("services", "loadgen") for path in (ROOT / folder).rglob("*.py")]
    needed = imported(sources)
    # hiredis is found by redis, not imported by us.
    assert needed | {"hiredis"} == listed("services")


def test_the_run_time_group_is_what_our_packages_import() -> None:
    needed = imported(path for folder in OURS for path in (ROOT / folder).rglob("*.py"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = {_normal(line) for extra in ("cluster", "export", "notebook") for line in extras[extra]}
    assert needed - optional == {_normal(line) for line in project["dependencies"]}


@pytest.mark.parametrize("name", ["services", "controller"])
def test_every_listed_package_is_locked(name: str) -> None:
    locked = {_normal(line) for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert listed(name) <= locked


def test_programs_for_containers_need_only_the_standard_library() -> None:
    assert imported((ROOT / "compose" / "container").glob("*.py")) == set()


def test_the_build_context_is_an_allow_list() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = set(re.findall(r"^COPY (\S+) \S+$", (ROOT / "compose" / "Dockerfile").read_text(), re.MULTILINE))
    assert allowed == OURS | {"pyproject.toml", "requirements.lock"}
    assert copied == OURS | {"pyproject.toml"}


def test_the_images_run_as_an_unprivileged_user() -> None:
    text = (ROOT / "compose" / "Dockerfile").read_text()
    services = text[text.index("AS services") :]
    assert re.search(r"^USER 10001:10001$", services, re.MULTILINE)
    assert "--platform" not in text, "the same file builds on amd64 and arm64"


def reached(start: Iterable[str]) -> list[Path]:
    """The files that importing the modules loads, as far as our own packages go."""
    found: dict[Path, None] = {}
    queue = list(start)
    while queue:
        module = queue.pop()
        base = ROOT.joinpath(*module.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.exists() and path not in found:
                found[path] = None
                queue += sorted(_own_imports(path))
    return sorted(found)


def _own_imports(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in modules if module.partition(".")[0] in OURS}


def test_the_controller_image_has_what_the_controller_imports() -> None:
    needed = imported(reached(CONTROLLER))
    assert needed <= listed("services") | listed("controller")
    unused = listed("controller") - needed
    assert not unused, f"listed for the controller, but not imported by it: {sorted(unused)}"
