"""Resident memory follows what is held: the allocator of the command, and what it gives back."""

import os
import subprocess
import sys
from typing import Any

import pytest

from chaos.soak.memory import ALLOCATOR, PLAIN, with_plain_allocator

HELD = """
from chaos.soak.memory import release, resident_mb

class Node:
    def __init__(self):
        self.itself, self.load = self, bytes(400)

def peak():
    nodes = [Node() for _ in range(100_000)]
    return nodes[::100]

release()
before = resident_mb()
survivors = peak()
release()
print(resident_mb() - before)
"""
"""A peak of some 60 MB in cycles, of which one object in a hundred survives."""


def left_mb(allocator: str) -> float:
    environment = {**os.environ, ALLOCATOR: allocator}
    run = subprocess.run([sys.executable, "-c", HELD], env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.real_time
def test_a_peak_is_given_back_around_what_survives_of_it() -> None:
    assert left_mb(PLAIN) < 15.0 < left_mb("pymalloc")


@pytest.mark.parametrize(
    ("environment", "again"), [({"HOME": "/"}, [{"HOME": "/", ALLOCATOR: PLAIN}]), ({ALLOCATOR: "debug"}, [])]
)
def test_the_command_starts_again_unless_an_allocator_was_chosen(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], again: list[dict[str, str]]
) -> None:
    started: list[dict[str, str]] = []

    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> Any:
        assert (path, arguments) == (sys.executable, [sys.executable, "-m", "chaos", "soak"])
        started.append(environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "chaos", "soak"])
    with_plain_allocator(environment)
    assert started == again
