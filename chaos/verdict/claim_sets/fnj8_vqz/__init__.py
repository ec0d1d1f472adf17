"""The report FNJ8-VQZ: its claims, one predicate per claim, and the negative controls of the incident.

Importing this package registers all predicates.
"""

from chaos.verdict.claim_set import ClaimHeading, ClaimSet
from chaos.verdict.claim_sets.fnj8_vqz import consumers, evidence, github, overload, release, systems, timeline, trigger
from chaos.verdict.claim_sets.fnj8_vqz.controls import CONTROLS, judge_control
from chaos.verdict.claim_sets.fnj8_vqz.explanations import explanations
from chaos.verdict.claim_sets.fnj8_vqz.pairs import PAIRS, judge_pair
from chaos.verdict.claim_sets.fnj8_vqz.story import story
from chaos.verdict.claim_sets.fnj8_vqz.table import CHECKS, claims
from chaos.verdict.claim_sets.fnj8_vqz.variants import variant
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, WAVE, WEST, IncidentView

CLAIM_SET = ClaimSet(
    name="fnj8-vqz",
    regions=PAIR,
    wave=WAVE,
    groups=(
        ClaimHeading("T", "The timeline, row by row", "timeline"),
        ClaimHeading("M", "The mechanisms", "mechanisms"),
        ClaimHeading("S", "The systems and services", "systems"),
        ClaimHeading("C", "What customers could have done", "customers"),
        ClaimHeading("O", "Other publications", "outside"),
    ),
    claims=claims,
    checks=CHECKS,
    view=IncidentView,
    controls=CONTROLS,
    variant=variant,
    judge_control=judge_control,
    pairs=PAIRS,
    explanations=explanations,
    story=story,
)

__all__ = [
    "CHECKS",
    "CLAIM_SET",
    "CONTROLS",
    "EAST",
    "PAIR",
    "PAIRS",
    "WEST",
    "IncidentView",
    "claims",
    "consumers",
    "evidence",
    "explanations",
    "github",
    "judge_control",
    "judge_pair",
    "overload",
    "release",
    "systems",
    "timeline",
    "trigger",
    "variant",
]
