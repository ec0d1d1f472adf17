"""The conformance table and its checks: what the report claims, and one small predicate each over a run's record.

Importing this package registers every predicate. `judge` turns a record into a verdict.
"""

from chaos.verdict import consumers, evidence, facts, overload, release, systems, timeline, trigger
from chaos.verdict.controls import CONTROLS, judge_control
from chaos.verdict.model import CHECKS, STATUSES, Claim, ClaimFinding, claims
from chaos.verdict.pairs import PAIRS, judge_pair
from chaos.verdict.verdict import EXIT_CODES, Verdict, judge

__all__ = [
    "CHECKS",
    "CONTROLS",
    "EXIT_CODES",
    "PAIRS",
    "STATUSES",
    "Claim",
    "ClaimFinding",
    "Verdict",
    "claims",
    "consumers",
    "evidence",
    "facts",
    "judge",
    "judge_control",
    "judge_pair",
    "overload",
    "release",
    "systems",
    "timeline",
    "trigger",
]
