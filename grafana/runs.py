"""Which run a dashboard shows: the live testbed, or one loaded by `aftershock watch`.

A loaded run has the label `run` in all its series, the testbed's own series have none. Every selector of every
dashboard asks for the value of the variable `run`, which is empty for the testbed: the two never mix.
"""

import re
from typing import Any

MATCHER = 'run="$run"'
KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "Inf", "NaN"})
_PART = re.compile(
    r"""
      "[^"]*" | \[[^\]]*\]                                                     # texts, windows
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)          # lists of labels
    | \b[a-z_]+(?=\s*(?:(?:by|without)\s*\([^)]*\)\s*)?\()                     # functions
    | (?P<name>\b[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<matchers>[^}]*)\})?         # selectors
    """,
    re.VERBOSE,
)


def of_run(expression: str) -> str:
    """The expression with the chosen run in every selector."""
    return _PART.sub(_chosen, expression)


def _chosen(part: re.Match[str]) -> str:
    name = part["name"]
    if not name or name in KEYWORDS:
        return part[0]
    return f"{name}{{{', '.join(filter(None, (part['matchers'], MATCHER)))}}}"


def run_variable() -> dict[str, Any]:
    """A text field: `aftershock watch` prints links that fill it in."""
    return {
        "name": "run",
        "type": "textbox",
        "label": "Recorded run (empty: live testbed)",
        "query": "",
        "current": {"text": "", "value": ""},
        "options": [{"text": "", "value": "", "selected": True}],
    }
