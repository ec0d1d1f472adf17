"""No task outside the supervisor: one that asyncio starts by itself fails in silence and outlives its owner."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWNER = "services/chassis/background.py"
KERNEL = "compose/virtual/"
"""The event loop itself, whose tasks are the machinery that services run on."""
STARTERS = {"create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe", "Task", "eager_task_factory"}
SOURCES = sorted(
    path
    for package in ("services", "loadgen", "compose", "chaos")
    for path in (ROOT / package).rglob("*.py")
    if not str(path.relative_to(ROOT)).startswith((OWNER, KERNEL))
)


def task_starters(source: str) -> Iterator[str]:
    """Calls and imports that start a task, by line."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call | ast.ImportFrom):
            continue
        if isinstance(node, ast.ImportFrom):
            found = [alias.name for alias in node.names if node.module == "asyncio"]
        else:
            called = node.func
            found = [called.attr] if isinstance(called, ast.Attribute) else [getattr(called, "id", "")]
        yield from (f"line {node.lineno}: {name}" for name in found if name in STARTERS)


def test_no_task_is_started_outside_the_supervisor() -> None:
    found = {str(path.relative_to(ROOT)): list(task_starters(path.read_text())) for path in SOURCES}
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}, "use Background: keep, finish, once or call"


@pytest.mark.parametrize(
    "line",
    [
        "asyncio.create_task(work())",
        "asyncio.get_running_loop().create_task(work(), name='x')",
        "loop.create_task(work())",
        "asyncio.ensure_future(work())",
        "async def f():\n    async with asyncio.TaskGroup() as group:\n        pass",
        "from asyncio import create_task as begin",
        "asyncio.Task(work())",
        "asyncio.run_coroutine_threadsafe(work(), loop)",
    ],
)
def test_the_scan_sees_every_way_to_start_one(line: str) -> None:
    assert list(task_starters(line))
