"""The table of claims of the report FNJ8-VQZ, and the predicates that are registered for them."""

from functools import lru_cache
from pathlib import Path

from chaos.verdict.model import CheckTable, Claim, read_claims

CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
CHECKS = CheckTable()
check = CHECKS.check


def as_mechanism(row: str, mechanism: str, text: str = "") -> None:
    """Judges a row by the predicate of a mechanism that makes the same claim more precisely."""
    known = CHECKS[mechanism]
    check(row, text or f"as {mechanism}: {known.text}", control=known.control)(known.judge)


@lru_cache(maxsize=1)
def claims() -> tuple[Claim, ...]:
    """The conformance table, in the order of the file."""
    return read_claims(CLAIMS_FILE)
