"""Generates `docs/export.md`: every file and column of an export, from the tables in the code.

python -m chaos.export.page > docs/export.md
"""

from pathlib import Path

from chaos.export.tables import TABLES
from chaos.report.templates import fill

TEMPLATE = Path(__file__).parent / "templates" / "export.md.j2"


def page() -> str:
    return fill(TEMPLATE, {"tables": TABLES})


if __name__ == "__main__":
    print(page(), end="")
