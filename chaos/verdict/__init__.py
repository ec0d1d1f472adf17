"""The verdict of a run: its expectations, the claims of a report, and key figures, all from its record."""

from chaos.verdict.model import STATUSES, Claim, ClaimFinding
from chaos.verdict.verdict import EXIT_CODES, Verdict, judge

__all__ = ["EXIT_CODES", "STATUSES", "Claim", "ClaimFinding", "Verdict", "judge"]
