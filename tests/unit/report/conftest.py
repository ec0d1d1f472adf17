"""The made-up incident, judged."""

import pytest

from chaos.record.record import RunRecord
from chaos.verdict import Verdict, judge
from tests.unit.record.incident_record import fresh_incident


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return fresh_incident().build()


@pytest.fixture(scope="module")
def verdict(record: RunRecord) -> Verdict:
    return judge(record)
