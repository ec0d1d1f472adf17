"""Explanations of rows that do not simply hold, and the ambiguities of the report, from `explanations.yaml`."""

from functools import lru_cache
from pathlib import Path

import yaml

from chaos.verdict.claim_set import Explanations
from chaos.verdict.claim_sets.fnj8_vqz.table import claims

FILE = Path(__file__).with_name("explanations.yaml")


@lru_cache(maxsize=1)
def explanations() -> Explanations:
    """Loads the file, and checks that its rows exist and that every ambiguity used by a claim is described.

    Raises:
        ValueError: a row is unknown or a description is missing.
    """
    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found = Explanations(raw["ambiguities"], {row: " ".join(text.split()) for row, text in raw["rows"].items()})
    known = {claim.id: claim for claim in claims()}
    unknown = sorted(set(found.rows) - set(known))
    if unknown:
        raise ValueError(f"{FILE.name}: unknown rows: {', '.join(unknown)}")
    missing = sorted({claim.rests_on for claim in known.values() if claim.rests_on} - set(found.ambiguities))
    if missing:
        raise ValueError(f"{FILE.name}: ambiguities without a description: {', '.join(missing)}")
    return found
