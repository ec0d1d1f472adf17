"""Pictures of the dashboards, drawn from a Prometheus without a Grafana by the viewer that GRAFANA_VIEW names.

The viewer takes a dashboard, a Prometheus, a time range and a file, and writes a report: what each panel asked, what it
got, and what is wrong with it. GRAFANA_PICTURES names a folder that keeps the pictures.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

VIEWER = os.environ.get("GRAFANA_VIEW", "")
KEPT = os.environ.get("GRAFANA_PICTURES", "")
DRAW_TIMEOUT_S = 180.0
SIZES = {"wall": ("1920", "1080"), "laptop": ("1366", "768")}
STAND_IN = "is drawn by this viewer"


def check(dashboards: list[Path]) -> str:
    """What the viewer finds wrong with the files themselves; empty when nothing is."""
    done = subprocess.run([VIEWER, "--check", *dashboards], capture_output=True, text=True, timeout=DRAW_TIMEOUT_S)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def draw(dashboard: Path, prometheus: str, at_epoch_s: float, size: str, folder: Path, name: str) -> dict[str, Any]:
    """What a screen shows at one moment, the five minutes before included; returns the report."""
    folder = Path(KEPT) if KEPT else folder
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[size]
    report = folder / f"{name}.json"
    command = [VIEWER, str(dashboard), prometheus, "to-5m", f"{at_epoch_s:.3f}", str(folder / f"{name}.png")]
    options = ["--width", width, "--height", height, "--fold", "--report", str(report)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=DRAW_TIMEOUT_S)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def complaints(report: dict[str, Any]) -> list[str]:
    """Errors of queries, unknown names, legends that name two series; not that a panel is drawn by a stand-in."""
    found = [str(fault) for fault in report["faults"]]
    for panel in report["panels"]:
        found += [f"{panel['title']}: {fault}" for fault in panel["faults"] if STAND_IN not in fault]
    return found


def empty(report: dict[str, Any]) -> set[str]:
    """Titles of the panels that show nothing, or nothing but holes."""
    return {
        panel["title"]
        for panel in report["panels"]
        if panel["empty"] or (not panel["series"] and panel["type"] not in ("table", "text"))
    }
