"""`aftershock check-part`: two processes with different hash seeds examine the part; both must find the same."""

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from chaos.check_part.examine import EVERY_KIND, Examined, kind_of
from compose.children import bound, python
from services.chassis.exit_codes import CONTRADICTED, EXPECTED
from services.parts.declared import declare
from services.parts.kind import PartError, PartKind

PATIENCE_S = 120.0
HASH_SEEDS = ("1", "2")
RULES = {
    "works": "answers every call",
    "pure": "no clock, no chance and no input of its own",
    "deterministic": "the same calls get the same answers, also in another process",
    "bounded": "in its decisions and in memory",
    "never blocking": "no sleep, socket, thread, process or file; it comes back",
}


def check_part_command(name: str, kind_name: str | None, options: Mapping[str, Any], console: Console) -> int:
    """Examines the part; returns exit code 1 if it breaks a rule.

    Raises:
        PartError: it cannot be imported or built, or is of no kind.
    """
    declare([name])
    kind = kind_of(name) if kind_name is None else _kind(kind_name)
    found = [_apart(name, kind, options, hash_seed) for hash_seed in HASH_SEEDS]
    broken = next((one for one in found if one.broken), None)
    if broken is None and found[0].trace != found[1].trace:
        broken = Examined("deterministic", "another process gets other answers: does it use a set, or hash()?")
    console.print(f"{name}: {kind.name}", highlight=False, markup=False)
    if broken is not None:
        console.print(f" ✘  {broken.broken}: {broken.why}", highlight=False, markup=False)
        return CONTRADICTED
    for rule, meaning in RULES.items():
        console.print(f" ✔  {rule}: {meaning}", highlight=False, markup=False)
    return EXPECTED


def _kind(name: str) -> PartKind:
    found = next((kind for kind in EVERY_KIND if kind.name == name), None)
    if found is None:
        raise PartError(f"--kind {name}: unknown; known: {', '.join(kind.name for kind in EVERY_KIND)}")
    return found


def _apart(name: str, kind: PartKind, options: Mapping[str, Any], hash_seed: str) -> Examined:
    command = bound(python("-m", "chaos.check_part.examine", name, kind.name, json.dumps(dict(options))))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return Examined("never blocking", f"did not come back within {PATIENCE_S:g} s")
    if done.returncode or not done.stdout:  # a part may end its process with 0
        raise PartError(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'ended silently'}")
    found = Examined(**json.loads(done.stdout))
    if found.refused:
        raise PartError(found.refused)
    return found
