"""Every row that every process serves, as lines of `who_may_call.txt`."""

from pathlib import Path

from services.chassis.routes import Route

LIST = Path(__file__).with_name("who_may_call.txt")


def listed() -> dict[str, dict[str, str]]:
    """What the list says: by process, who may make each call."""
    found: dict[str, dict[str, str]] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            process, who, method, path = line.split()
            found.setdefault(process, {})[f"{method} {path}"] = who
    return found


def rows(table: tuple[Route, ...]) -> dict[str, str]:
    return {f"{row.method} {row.path}": row.access for row in table}
