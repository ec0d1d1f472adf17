"""The table of claims of the report FNJ8-VQZ, and the predicates that are registered for them."""

from functools import lru_cache
from pathlib import Path

from chaos.verdict.model import CheckTable, Claim, read_claims

CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
CHECKS = CheckTable()
check = CHECKS.check


@lru_cache(maxsize=1)
def claims() -> tuple[Claim, ...]:
    """The conformance table, in the order of the file."""
    return read_claims(CLAIMS_FILE)
