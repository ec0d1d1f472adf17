"""What a user has to install and to load: run-time packages are enough, and a heavy one is loaded where it is used."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path

import pytest
import vulture
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos")
HEAVY = {
    *("aiohttp", "cryptography", "distributed", "docker", "fakeredis", "jinja2", "jwt", "matplotlib", "numpy"),
    *("pydantic", "redis", "scipy", "uvloop", "yaml"),
}

IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is no run-time package", name=name)

blocked = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Blocked())
packages = [importlib.import_module(name) for name in sys.argv[2:]]
found = [module.name for one in packages for module in pkgutil.walk_packages(one.__path__, one.__name__ + ".")]
names = [name for name in found if not name.endswith(".__main__")]
for name in names:
    importlib.import_module(name)
print(*names)
"""
"""Imports every module of the packages that are named, without the modules that are blocked, and prints their names."""


def run_time_distributions() -> set[str]:
    """What `pip install .` brings: the dependencies of the project, theirs, and so on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: set[str] = set()
    queue = [Requirement(line) for line in project["dependencies"]]
    while queue:
        one = queue.pop()
        found.add(canonicalize_name(one.name))
        queue += [deeper for deeper in _required(one) if canonicalize_name(deeper.name) not in found]
    return found


def _required(one: Requirement) -> Iterator[Requirement]:
    for deeper in map(Requirement, metadata.requires(one.name) or []):
        if not deeper.marker or any(deeper.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
            yield deeper


def blocked_modules() -> set[str]:
    """Top-level modules that are installed here for tests and checks only."""
    allowed = run_time_distributions() | {"aftershock"}
    providers = metadata.packages_distributions()
    return {name for name, owners in providers.items() if not allowed & set(map(canonicalize_name, owners))}


def test_every_module_loads_without_the_packages_of_tests_and_checks() -> None:
    blocked = blocked_modules()
    assert {"pytest", "hypothesis", "scipy", "distributed", "azure", "mypy", "psutil"} <= blocked
    arguments = [json.dumps(sorted(blocked)), *PACKAGES]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EVERYTHING, *arguments], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    loaded = set(ran.stdout.split())
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if not path.stem.startswith("__")]
    assert {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files} <= loaded


NOTHING_HEAVY = """
import contextlib, chaos.__main__, chaos.studies.pool
from chaos.cli import main
for command in ([], ['matrix']):
    with contextlib.suppress(SystemExit):
        main([*command, '--help'])
"""


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (NOTHING_HEAVY, ()),
        ("from chaos.cli import main; main(['scenarios'])", ("aiohttp", "cryptography", "pydantic", "redis", "yaml")),
        ("import services.blobstore.app", ("aiohttp", "cryptography", "jwt", "pydantic", "redis")),
        (
            "import chaos.verdict, chaos.report.files, chaos.report.table, chaos.report.compare",
            ("aiohttp", "cryptography", "numpy", "pydantic", "redis", "yaml"),
        ),
    ],
    ids=["help", "scenarios", "a service", "a verdict"],
)
def test_a_heavy_package_is_loaded_where_it_is_used(statement: str, allowed: tuple[str, ...]) -> None:
    at_the_end = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{at_the_end}\n{statement}"], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stderr.split())
    assert "services" in loaded or "chaos" in loaded
    assert HEAVY & loaded <= set(allowed)


def test_no_code_is_dead_and_no_name_is_allowed_to_be_without_need() -> None:
    """What `make check` runs, in one reading of the sources: first the names it allows, then what it would report."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]
    found = vulture.Vulture(ignore_decorators=rules["ignore_decorators"])
    found.scavenge([str(ROOT / path) for path in rules["paths"]])
    unused = {item.name for item in found.get_unused_code(min_confidence=rules["min_confidence"])}
    allowed = rules["ignore_names"]
    assert {name for name in unused if not any(fnmatchcase(name, one) for one in allowed)} == set()
    assert {one for one in allowed if not any(fnmatchcase(name, one) for name in unused)} == set()
