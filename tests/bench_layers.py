"""The part of `make bench` that says where the time goes: CPU of a whole run by layer, and per hop.

A run is carried out under py-spy, which reads the stacks of another process from outside and so does not slow down
short functions more than long ones. A sample belongs to the innermost of its frames that lies in a known layer: what
the standard library does counts for its caller. A hop is one request with its response, handed over.

    python -m tests.bench_layers [SCENARIO]
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from chaos.progress.terminal import table

ROOT = Path(__file__).parent.parent
SAMPLES_PER_S = 200
FRAME = re.compile(r".* \((?P<file>.*?)(:\d+)?\)")
OTHER = "interpreter and what no layer called"

PHASES = (
    ("start-up: imports", ("<frozen importlib._bootstrap",)),
    ("facts, claims and report", ("chaos/verdict/", "chaos/report/", "chaos/command/")),
    ("recorder and its samples", ("chaos/record/", "chaos/export/")),
)
"""Whatever these call is theirs; the first that fits."""

LAYERS = (
    ("virtual time: loop, processes", ("compose/virtual/kernel/", "compose/virtual/world.py", "asyncio/")),
    ("transport: requests handed over", ("compose/virtual/direct/", "compose/virtual/net/")),
    ("aiohttp: routes, middlewares, messages", ("aiohttp/", "yarl/", "multidict/")),
    ("Redis: client and store", ("redis/", "fakeredis/", "compose/virtual/redis/", "sortedcontainers/")),
    ("JSON and signatures", ("json/", "jwt/", "cryptography/")),
    ("metrics", ("prometheus_client/", "services/chassis/metrics.py")),
    ("services: edge, HTTP client, registry, events", ("services/chassis/",)),
    ("services: the rest and their policies", ("services/", "tenacity/", "pydantic/")),
    ("load generators", ("loadgen/",)),
    ("experiment and its operators", ("chaos/", "compose/")),
)
"""Name and where its code lies, for the innermost frame."""


def file_of(frame: str) -> str:
    """The file of a py-spy frame, from its outermost package on: `aiohttp/web_app.py`."""
    found = FRAME.fullmatch(frame)
    return found["file"] if found else ""


def layer_of(stack: str) -> str:
    """The layer of one sampled stack, `outermost;…;innermost`.

    The command's own frames are around all others. So the run itself, from its loop on, is not judged by them.
    """
    files = [file_of(frame) for frame in stack.split(";")]
    loops = [place for place, file in enumerate(files) if file.startswith("compose/virtual/kernel/")]
    within = files[loops[0] :] if loops else files
    for phase, places in PHASES:
        if any(file.startswith(places) for file in within):
            return phase
    return next((layer for file in reversed(within) for layer, places in LAYERS if file.startswith(places)), OTHER)


def shares(collapsed: str) -> dict[str, float]:
    """Share of the samples by layer, largest first, of py-spy's collapsed stacks (`stack count` a line)."""
    samples: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, count = line.rsplit(" ", 1)
        samples[layer_of(stack)] += int(count)
    return {layer: count / samples.total() for layer, count in samples.most_common()}


def sampled(scenario: str) -> tuple[dict[str, float], int]:
    """Shares by layer of a whole run with seed 1, and the number of its hops."""
    spy = shutil.which("py-spy", path=sysconfig.get_path("scripts"))
    with tempfile.TemporaryDirectory() as folder:
        stacks, hops = Path(folder) / "stacks", Path(folder) / "hops"
        run = [sys.executable, "-m", "tests.bench_layers", "--counted", str(hops), "run", scenario]
        command = [str(spy), "record", "--rate", str(SAMPLES_PER_S), "--format", "raw", "--output", str(stacks), "--"]
        options = ["--transport", "direct", "--seed", "1", "--out", f"{folder}/run"]
        subprocess.run([*command, *run, *options], cwd=ROOT, check=True, capture_output=True)
        return shares(stacks.read_text()), int(hops.read_text())


def counted(hops: Path, arguments: list[str]) -> None:
    """`aftershock` with these arguments; the number of requests that were handed over goes to a file."""
    from chaos.__main__ import main as aftershock
    from compose.virtual.direct.exchange import Exchange

    sent, send = Counter[str](), Exchange.send

    def counting(exchange: Exchange, message: object, body: bytes | None) -> None:
        sent["hops"] += 1
        send(exchange, message, body)

    Exchange.send = counting  # type: ignore[method-assign,assignment]
    sys.argv[1:] = arguments
    try:
        aftershock()
    finally:
        hops.write_text(str(sent["hops"]))


def main(console: Console, scenario: str, cpu_s: float) -> None:
    """Print the table; `cpu_s` is what the run takes without py-spy."""
    by_layer, hops = sampled(scenario)
    title = f"where the CPU of {scenario} goes, {hops:,} hops handed over".replace(",", " ")
    shown = table("layer", "share", "CPU s", "µs a hop", title=title)
    for layer, share in by_layer.items():
        shown.add_row(layer, f"{share:.1%}", f"{share * cpu_s:.1f}", f"{share * cpu_s / hops * 1e6:.0f}")
    shown.add_row("all", "100%", f"{cpu_s:.1f}", f"{cpu_s / hops * 1e6:.0f}")
    console.print(shown)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--counted"]:
        counted(Path(sys.argv[2]), sys.argv[3:])
    else:
        from tests.bench import replay

        asked = (sys.argv[1:] or ["azure-fnj8-vqz"])[0]
        main(Console(), asked, float(replay(asked, "direct")["cpu_s"]))
