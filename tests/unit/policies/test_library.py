"""Rules that hold for the library as a whole: pure, documented, switched off by default."""

import ast
from pathlib import Path

import services.policies
from services.policies.adaptive_limit import LimitSettings
from services.policies.breaker import BreakerSettings
from services.policies.capacity import ScaleOutSettings
from services.policies.outcome import AttemptOutcome
from services.policies.outlier import OutlierSettings
from services.policies.retry_budget import BudgetSettings
from services.policies.token_cache import TokenCacheSettings

FOLDER = Path(services.policies.__file__).parent
MODULES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
BANNED_IMPORTS = {"asyncio", "time", "datetime", "uuid", "os", "threading", "logging", "secrets", "aiohttp", "redis"}


def imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_a_policy_reads_no_clock_starts_no_task_and_does_not_log() -> None:
    impure = {path.stem: imports(ast.parse(path.read_text())) & BANNED_IMPORTS for path in MODULES}
    assert {stem: banned for stem, banned in impure.items() if banned} == {}


def test_random_generators_are_passed_in_and_never_created() -> None:
    """`Random` may be imported as a type; `import random` and `Random(...)` may not."""
    for path in MODULES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        called = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        assert "random" not in plain, path.stem
        assert "Random" not in called, path.stem


def test_the_package_docstring_lists_every_module() -> None:
    doc = services.policies.__doc__ or ""
    assert [path.stem for path in MODULES if path.stem not in doc.split()] == ["settings"]


def test_there_are_three_outcomes() -> None:
    assert [repr(outcome) for outcome in AttemptOutcome] == [
        "<AttemptOutcome success>",
        "<AttemptOutcome ignored>",
        "<AttemptOutcome dropped>",
    ]


def test_what_the_incident_did_not_have_is_off_by_default() -> None:
    assert BudgetSettings().kind == "off"
    assert LimitSettings().kind == "off"
    assert BreakerSettings().mode == "off"
    assert OutlierSettings().enabled is False
    assert TokenCacheSettings().enabled is False
    assert ScaleOutSettings().guarded is False
