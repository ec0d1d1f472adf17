"""`make bench`: how fast, how big, how exact. Figures only; nothing here can fail a build.

Each replay runs in a process of its own, so that its CPU time and its peak memory are its own. Figures are CPU seconds:
on a shared machine they repeat, wall time does not.
"""

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from chaos.progress.terminal import table
from chaos.record.files import TRACES_FILE
from compose.virtual.bench import main as bench_hops
from loadgen.arrivals import Arrivals, PoissonSchedule
from services.chassis.clock import system_clock
from services.chassis.streams import Streams
from tests.bench_compose import main as bench_compose
from tests.bench_layers import main as bench_layers
from tests.bench_sockets import main as bench_sockets

INCIDENT = "azure-fnj8-vqz"
RATES_PER_S = (200, 500, 1000)
SENDING_S = 10.0
WARM_UP_S = 1.0


def replay(scenario: str, transport: str, *more: str) -> dict[str, Any]:
    """CPU seconds and peak memory of one whole run, as the operating system counted them, and what it came to."""
    command = [sys.executable, "-m", "chaos", "run", scenario, "--transport", transport, "--json", *more]
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "run"
        process = subprocess.Popen(
            [*command, "--out", str(record)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, _status, usage = os.wait4(process.pid, 0)
        verdict: dict[str, Any] = json.loads((record / "verdict.json").read_text())
        digest = hashlib.sha256((record / "events.jsonl").read_bytes()).hexdigest()
        traces = record / TRACES_FILE
        traces_mb = traces.stat().st_size / 2**20 if traces.exists() else 0.0
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "memory_mb": usage.ru_maxrss / 1024,
        "status": verdict["status"].replace("_", " "),
        "sha256": digest,
        "traces_mb": traces_mb,
    }


async def send_errors_ms(rate_per_s: float) -> list[float]:
    """How late each arrival of an open-loop schedule is sent, in milliseconds."""
    clock = system_clock()
    errors: list[float] = []

    def arrive(planned: float, actual: float) -> None:
        errors.append((actual - planned) * 1000)

    schedule = PoissonSchedule(Streams(1)["bench"], rate_per_s, clock.now() + WARM_UP_S)
    arrivals = Arrivals(clock, schedule, arrive)
    arrivals.start()
    await asyncio.sleep(WARM_UP_S + SENDING_S)
    arrivals.stop()
    return sorted(errors)


def main() -> None:
    console = Console()
    title = "replay, one core, report included"
    summary = table(
        "whole incident (722 minutes)", "CPU s", "peak memory MB", "verdict", "SHA-256 of the events", title=title
    )
    digests = set()
    cpu_s = {}
    for transport, *more in (("http",), ("direct",), ("direct", "--traces")):
        figures = replay(INCIDENT, transport, *more)
        cpu_s[transport, *more] = figures["cpu_s"]
        summary.add_row(
            f"virtual, {transport}" + (f", {figures['traces_mb']:.0f} MB of traces" if more else ""),
            f"{figures['cpu_s']:.1f}",
            f"{figures['memory_mb']:.0f}",
            figures["status"],
            figures["sha256"][:16],
        )
        digests.add(figures["sha256"])
    console.print(summary)
    same = "the same events to the byte" if len(digests) == 1 else "DIFFERENT events"
    console.print(f"both transports, traced or not: {same}")
    bench_layers(console, INCIDENT, cpu_s[("direct",)])
    sending = table("arrivals per second", "sent", "p50 ms", "p99 ms", title="open-loop send-time error, uvloop")
    for rate in RATES_PER_S:
        errors = uvloop.run(send_errors_ms(rate))
        quantiles = statistics.quantiles(errors, n=100)
        sending.add_row(str(rate), str(len(errors)), f"{quantiles[49]:.2f}", f"{quantiles[98]:.2f}")
    console.print(sending)
    console.rule("cost of one hop and of one Redis operation")
    bench_sockets(console)
    bench_hops()
    console.rule("the testbed in Docker")
    bench_compose(console)


if __name__ == "__main__":
    main()
