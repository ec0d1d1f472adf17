"""Metric families of a record, from the names of its series: kind and unit.

OpenMetrics and OTLP need both. The naming rules of docs/metrics.md decide: a counter ends in `_total`, a histogram has
`_bucket`, `_sum` and `_count`. A histogram whose buckets were not recorded has the other two and is a summary without
quantiles. All else is a gauge.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "summary"]

UNITS = ("seconds", "bytes", "ratio")
TOTAL, BUCKET, SUM, COUNT = "_total", "_bucket", "_sum", "_count"


@dataclass(frozen=True)
class Family:
    """A metric family. `unit` is the last word of its name if that is a unit; otherwise it is a number."""

    name: str
    kind: Kind

    @property
    def unit(self) -> str:
        word = self.name.rpartition("_")[2]
        return word if word in UNITS else ""


def families(names: Collection[str]) -> dict[str, Family]:
    known = set(names)
    return {name: _family(name, known) for name in sorted(known)}


def _family(name: str, known: Collection[str]) -> Family:
    if name.endswith(TOTAL):
        return Family(name.removesuffix(TOTAL), "counter")
    for suffix in (BUCKET, SUM, COUNT):
        base = name.removesuffix(suffix)
        if base != name and f"{base}{SUM}" in known and f"{base}{COUNT}" in known:
            return Family(base, "histogram" if f"{base}{BUCKET}" in known else "summary")
    return Family(name, "gauge")
