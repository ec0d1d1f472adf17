"""Which records under `runs/` stay."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.experiment.runs import new_folder, point_latest
from chaos.record import retention
from chaos.record.retention import KEEP, USED_WITHIN_S, VARIABLE, runs_max, tidy_results, tidy_runs, used
from chaos.studies.cache import Cache
from services.chassis.clock import system_clock
from services.chassis.settings import SettingsError

LONG_AGO_S = 10 * USED_WITHIN_S


def age(path: Path, seconds: float) -> Path:
    at = system_clock().epoch() - seconds
    os.utime(path, (at, at))
    return path


def records(root: Path, count: int) -> list[Path]:
    """Records named by us, oldest first, all unused for long."""
    made = []
    for number in range(count):
        folder = root / f"calm-day-virtual-s1-20260101T00000{number}"
        folder.mkdir()
        (folder / "plan.json").write_text("{}")
        made.append(age(folder, LONG_AGO_S - number))
    return made


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_records_used_last_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = records(tmp_path, 5)
    used(made[0])
    assert tidy_runs(tmp_path, 3) == [made[1].name, made[2].name]
    assert left(tmp_path) == sorted([made[0].name, made[3].name, made[4].name])
    told = capsys.readouterr().err
    assert f"removed 2 records beyond the limit of 3 (AFTERSHOCK_RUNS_MAX): {made[1].name}, {made[2].name}" in told


def test_neither_a_link_to_itself_nor_a_reader_that_has_gone_ends_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = records(tmp_path, 3)
    (tmp_path / "latest").symlink_to("latest")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=False) as gone:
        monkeypatch.setattr("sys.stderr", gone)
        assert tidy_runs(tmp_path, 1) == [made[0].name, made[1].name]
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is still in the buffer
    os.close(writer)


def test_nothing_is_removed_below_the_bound_or_when_it_is_off(tmp_path: Path) -> None:
    records(tmp_path, 3)
    assert tidy_runs(tmp_path, 3) == []
    assert tidy_runs(tmp_path, 0) == []
    assert len(left(tmp_path)) == 3


def test_what_latest_points_at_stays(tmp_path: Path) -> None:
    made = records(tmp_path, 3)
    point_latest(made[0])
    age(made[0], LONG_AGO_S)
    assert made[0].name not in tidy_runs(tmp_path, 1)
    assert (tmp_path / "latest").resolve() == made[0]


def test_what_was_used_within_a_day_stays(tmp_path: Path) -> None:
    for folder in records(tmp_path, 4):
        age(folder, USED_WITHIN_S - 60.0)
    assert tidy_runs(tmp_path, 1) == []


def test_a_folder_with_a_keep_file_and_one_named_by_its_user_stay(tmp_path: Path) -> None:
    made = records(tmp_path, 2)
    (made[0] / KEEP).touch()
    age(made[0], LONG_AGO_S)
    own = tmp_path / "my-talk"
    own.mkdir()
    age(own, LONG_AGO_S)
    tidy_runs(tmp_path, 1)
    assert {made[0].name, own.name} <= set(left(tmp_path))


def test_a_folder_that_another_command_works_in_stays(tmp_path: Path) -> None:
    made = records(tmp_path, 2)
    number = os.open(made[0], os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_SH)
    try:
        assert tidy_runs(tmp_path, 1) == []
    finally:
        os.close(number)
    assert tidy_runs(tmp_path, 1) == [made[0].name]


def test_a_new_record_tidies_up_behind_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    made = records(tmp_path, 3)
    fresh = new_folder("calm-day", tmp_path)
    assert left(tmp_path) == sorted([made[2].name, fresh.name])


@pytest.mark.parametrize("value", ["-1", "many", "", "1.5", "١", "9" * 5000])
def test_a_bound_that_is_no_number_is_refused_by_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(SettingsError, match=VARIABLE):
        runs_max()


def test_kept_results_have_a_bound_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "RESULTS_MAX", 2)
    for number in range(5):
        age_s = LONG_AGO_S - number if number else 0.0
        (tmp_path / f"{number}.json").write_text("{}")
        age(tmp_path / f"{number}.json", age_s)
    tidy_results(tmp_path)
    assert left(tmp_path) == ["0.json", "4.json"]
    Cache(tmp_path / "more", codec=None, code="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("tidy", [tidy_results, lambda folder: tidy_runs(folder, 100)])
def test_what_a_killed_process_was_writing_is_removed_after_a_day(tmp_path: Path, tidy: Callable[[Path], None]) -> None:
    for name, age_s in (("old.json.17.partial", LONG_AGO_S), ("new.json.17.partial", 0.0), ("my.partial", LONG_AGO_S)):
        (tmp_path / name).write_text("{")
        age(tmp_path / name, age_s)
    tidy(tmp_path)
    assert left(tmp_path) == ["my.partial", "new.json.17.partial"]
