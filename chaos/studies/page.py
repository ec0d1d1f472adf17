"""HTML pages of the studies: self-contained, without scripts, with styles for light, dark and print.

The template of a page extends `study.html.j2`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.report.templates import fill
from chaos.studies import words

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, values: Mapping[str, Any]) -> str:
    css = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    return fill(TEMPLATES / template, {"css": css, "count_of": words.count_of, "figure": words.figure, **values})
