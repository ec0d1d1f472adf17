"""Writes `dashboards/*.json`: `python -m grafana.build`. `--check` only reports whether they are up to date."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from grafana import chaos, incident, policies, region

FOLDER = Path(__file__).parent / "dashboards"
BUILDERS = {"incident": incident, "region": region, "policies": policies, "chaos": chaos}


def documents() -> dict[Path, str]:
    return {
        FOLDER / f"{name}.json": json.dumps(builder.build(), indent=1, ensure_ascii=False) + "\n"
        for name, builder in BUILDERS.items()
    }


def main(arguments: Sequence[str]) -> int:
    wanted = documents()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is not up to date; run: python -m grafana.build", file=sys.stderr)
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
