"""One word, one thing: a public class has a name of its own in the whole source tree."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "loadgen", "compose", "chaos", "grafana")


def public_classes() -> dict[str, list[str]]:
    """Modules by the name of a public class that they define."""
    modules: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(path.relative_to(ROOT).as_posix())
    return modules


def test_no_two_modules_define_a_public_class_of_the_same_name() -> None:
    shared = {name: modules for name, modules in public_classes().items() if len(modules) > 1}
    assert shared == {}, "qualify each by what it is, e.g. ProvisioningJob and CampaignRun instead of Job"
