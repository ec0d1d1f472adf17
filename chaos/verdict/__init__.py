"""The conformance table: the claims of the incident report, and one predicate per claim over a run's record.

Importing this package registers all predicates. `judge` computes the verdict of a record.
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
