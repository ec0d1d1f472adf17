"""One word, one thing: a public class or type alias has a name of its own in the whole source tree."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos", "grafana")


def defined(node: ast.stmt) -> Iterator[str]:
    """Names of public classes, and of what is written like one: type aliases."""
    if isinstance(node, ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (one.id for one in targets if isinstance(one, ast.Name) and not one.id.isupper())


def modules_of_types() -> dict[str, list[str]]:
    modules: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for name in (name for node in ast.parse(path.read_text()).body for name in defined(node)):
            if name[0].isupper():
                modules[name].append(path.relative_to(ROOT).as_posix())
    return modules


def test_no_two_modules_define_a_public_type_of_the_same_name() -> None:
    shared = {name: modules for name, modules in modules_of_types().items() if len(modules) > 1}
    assert shared == {}, "qualify each by what it is, e.g. ProvisioningJob and CampaignRun instead of Job"
