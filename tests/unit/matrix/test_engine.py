"""Jobs are computed once, and only once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.record.files import sealed
from chaos.studies import cache as cache_module
from chaos.studies.cache import ONLY_SHOWN, ROOT, Cache, code_hash, key
from chaos.studies.engine import StudyEngine, cluster
from chaos.studies.matrix.job import CODEC, MatrixRun
from compose.runtime import RuntimeUnavailable
from tests.unit.matrix.toy_world import SCENARIO, Inline, world

JOB = MatrixRun(SCENARIO, 1, ("R1",))


def test_a_second_call_computes_nothing(tmp_path: Path) -> None:
    jobs = [JOB, replace(JOB, seed=2), JOB]
    first = StudyEngine(Inline(), world, Cache(tmp_path, CODEC, "code"))
    second = StudyEngine(Inline(), world, Cache(tmp_path, CODEC, "code"))
    assert first.outcomes(jobs) == second.outcomes(jobs) == {job: world(job) for job in jobs}
    assert (first.computed, second.computed) == (2, 0)
    assert repr(second) == "<StudyEngine 2 known, 0 computed>"


@pytest.mark.parametrize(
    "changed",
    [
        replace(JOB, seed=2),
        replace(JOB, mitigations=("R1", "X5")),
        replace(JOB, scenario="calm-day"),
        replace(JOB, assignments=("identity.queue_length=31",)),
        replace(JOB, unattended=True),
    ],
    ids=["seed", "mitigations", "scenario", "setting", "operators"],
)
def test_what_decides_a_run_is_in_the_key(changed: MatrixRun) -> None:
    decides = CODEC.decides
    assert key(decides(changed), "code") != key(decides(JOB), "code") == key(decides(replace(JOB)), "code")


def test_the_code_is_in_the_key(tmp_path: Path) -> None:
    assert key(CODEC.decides(JOB), "code") != key(CODEC.decides(JOB), "other code")
    Cache(tmp_path, CODEC, "code").put(JOB, world(JOB))
    assert Cache(tmp_path, CODEC, "code").get(JOB) == world(JOB)
    assert Cache(tmp_path, CODEC, "other code").get(JOB) is None


def test_a_changed_source_changes_the_hash_unless_it_only_shows_results(tmp_path: Path) -> None:
    for name in ("services/a.py", "chaos/plan.yaml", "chaos/report/page.py", "chaos/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    hashed = code_hash.__wrapped__
    before = hashed(tmp_path)
    (tmp_path / "chaos/report/page.py").write_text("2")
    (tmp_path / "chaos/notes.txt").write_text("2")
    assert hashed(tmp_path) == before
    (tmp_path / "chaos/plan.yaml").write_text("2")
    assert hashed(tmp_path) != before
    assert cache_module.ROOT.joinpath("chaos/studies/cache.py").is_file()


SEALED_ODD: tuple[dict[str, object], ...] = ({}, {"result": 5}, {"result": []}, {"result": {}})


@pytest.mark.parametrize("text", ['{"outcome": ', "[]", *(json.dumps(sealed(odd)) for odd in SEALED_ODD)])
def test_a_damaged_file_is_computed_again(tmp_path: Path, text: str) -> None:
    cache = Cache(tmp_path, CODEC, "code")
    cache.put(JOB, world(JOB))
    next(tmp_path.glob("*.json")).write_text(text)
    engine = StudyEngine(Inline(), world, cache)
    assert engine.outcomes([JOB])[JOB] == world(JOB)
    assert engine.computed == 1


def test_a_run_that_fails_is_a_problem_and_is_not_kept(tmp_path: Path) -> None:
    def fails(_job: MatrixRun) -> object:
        raise RuntimeError("out of memory")

    cache = Cache(tmp_path, CODEC, "code")
    found = StudyEngine(Inline(), fails, cache).outcomes([JOB])[JOB]  # type: ignore[arg-type]
    assert found.problem == "RuntimeError: out of memory"
    assert found.second_wave is None
    assert cache.get(JOB) is None


def test_missing_values_survive_a_json_round_trip() -> None:
    outcome = world(MatrixRun(SCENARIO, 1, ("X2",)))
    assert CODEC.to_document(outcome)["values"]["recovery_min"] == "never"
    assert CODEC.from_document(CODEC.to_document(outcome)) == outcome


def test_progress_is_told_of_cached_runs_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path, CODEC, "code")
    cache.put(JOB, world(JOB))
    seen: list[MatrixRun] = []
    StudyEngine(Inline(), world, cache).outcomes(
        [JOB, replace(JOB, seed=2)], done=lambda job, _outcome: seen.append(job)
    )
    assert [job.seed for job in seen] == [1, 2]


def test_without_dask_a_cluster_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(RuntimeUnavailable, match="needs Dask"), cluster("tcp://127.0.0.1:1"):
        pass


@pytest.mark.parametrize("prefix", ONLY_SHOWN)
def test_a_source_that_does_not_affect_results_exists(prefix: str) -> None:
    """A prefix that names nothing any more makes results stale whenever what it named is edited."""
    assert list(ROOT.glob(f"{prefix}*"))
