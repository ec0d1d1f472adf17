"""Where `--policy SLOT=PART` puts a part: each slot is a setting that takes one."""

from collections.abc import Iterable

from services.chassis.settings import SettingsError

SLOTS = {
    "retry": "identity_client.sdk.part",
    "workflow_retry": "identity_client.workflow.part",
    "management_retry": "loadgen.sdk.part",
    "budget": "identity_client.guard.budget.part",
    "token_cache": "identity_client.cache.part",
    "queue": "identity.queue.part",
    "limit": "identity.limit.part",
    "admission": "router.admission.part",
    "failover": "router.failover.part",
    "gate": "remediation.gate.part",
}


def assignments_of(policies: Iterable[str]) -> tuple[str, ...]:
    """`retry=mine:MyRetry` as an assignment of a setting.

    Raises:
        SettingsError: not SLOT=PART, or an unknown slot.
    """
    return tuple(map(_assignment, policies))


def _assignment(text: str) -> str:
    slot, given, part = (word.strip() for word in text.partition("="))
    if not given or not part:
        raise SettingsError(f"--policy {text!r}: should be SLOT=MODULE:CLASS, e.g. retry=mine:MyRetry")
    if slot not in SLOTS:
        raise SettingsError(f"--policy {slot}: unknown slot; known: {', '.join(SLOTS)}")
    return f"{SLOTS[slot]}={part}"
