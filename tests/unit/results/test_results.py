"""`aftershock results`: steps in order, skipped when done, resumed after a failure, and an exit code that says it."""

import re
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from chaos.studies.results import stamps
from chaos.studies.results.command import duration, results_command
from chaos.studies.results.plan import PLAN_FILE, ResultsPlan, Step, load_plan
from services.chassis.clock import Clock, system_clock
from services.chassis.settings import SettingsError

TINY = """
steps:
  - {name: row, run: aftershock --version, core_minutes: 3}
  - {name: names, run: aftershock scenarios, writes: [names.txt], prints_page: true}
  - {name: page, run: "aftershock conformance no.json --out page.md", writes: [page.md], needs: [row]}
  - {name: after, run: aftershock scenarios, needs: [page]}
"""


class Bench:
    """A plan whose steps only note that they ran; each takes 10 s of its own clock and writes its files."""

    def __init__(self, folder: Path, *steps: Step) -> None:
        self.folder = folder
        self.plan = ResultsPlan(steps=steps)
        self.codes: dict[str, int] = {}
        self.ran: list[str] = []
        self.now = 0.0
        self.console = Console(width=160, record=True, file=StringIO())

    def perform(self, step: Step, jobs: int, here: Path, environment: Mapping[str, str]) -> int:
        self.ran.append(step.name)
        self.now += 10.0
        code = self.codes.get(step.name, 0)
        for path in step.writes if code == 0 else ():
            (here / path).write_text(f"{step.name} {step.typed(jobs)}")
        return code

    def run(self) -> tuple[int, list[str]]:
        """The exit code, and which steps ran."""
        self.ran = []
        self.console = Console(width=160, record=True, file=StringIO())
        clock = Clock(lambda: self.now, 0.0)
        code = results_command(self.plan, 2, self.console, clock, here=self.folder, perform=self.perform)
        return code, self.ran

    def said(self) -> str:
        return self.console.export_text(clear=False)


def step(name: str, *needs: str, **fields: object) -> Step:
    return Step.model_validate(
        {"name": name, "run": f"aftershock {name}", "writes": [f"{name}.md"], "needs": needs, **fields}
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, step("campaign"), step("page", "campaign"), step("other"))


def test_what_is_done_for_this_code_is_skipped(bench: Bench) -> None:
    assert bench.run() == (0, ["campaign", "page", "other"])
    assert bench.run() == (0, [])
    assert "0 of 3 steps to do" in bench.said()


def test_a_failing_step_stops_those_that_need_it_and_gives_its_exit_code(bench: Bench) -> None:
    bench.codes["campaign"] = 2
    assert bench.run() == (2, ["campaign", "other"])
    assert re.search(r"campaign +failed +2 +10 s", bench.said())
    assert "page: not run: a step that it needs failed" in bench.said()
    bench.codes.clear()
    assert bench.run() == (0, ["campaign", "page"])


def test_an_exit_code_that_no_command_has_is_a_defect(bench: Bench) -> None:
    bench.codes["other"] = -9
    assert bench.run()[0] == 3


def test_a_result_that_does_not_hold_is_no_failure_where_the_plan_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, step("campaign", may_end=(0, 1)))
    bench.codes["campaign"] = 1
    assert bench.run() == (0, ["campaign"])
    bench.codes["campaign"] = 3
    (tmp_path / "campaign.md").write_text("changed")
    assert bench.run() == (3, ["campaign"])


def _page_changed(bench: Bench, _patch: pytest.MonkeyPatch) -> None:
    (bench.folder / "page.md").write_text("by hand")


def _page_lost(bench: Bench, _patch: pytest.MonkeyPatch) -> None:
    (bench.folder / "page.md").unlink()


def _campaign_again(bench: Bench, _patch: pytest.MonkeyPatch) -> None:
    bench.plan = ResultsPlan(steps=(step("campaign", run="aftershock campaign --seeds 3"), *bench.plan.steps[1:]))


def _other_code(_bench: Bench, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stamps, "sources_hash", lambda: "other")


def _torn_stamp(bench: Bench, _patch: pytest.MonkeyPatch) -> None:
    stamp = bench.folder / "runs" / "results" / "page.json"
    stamp.write_text(stamp.read_text().replace("took_s", "took"))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (_page_changed, ["page"]),
        (_page_lost, ["page"]),
        (_campaign_again, ["campaign", "page"]),
        (_other_code, ["campaign", "page", "other"]),
        (_torn_stamp, ["page"]),
    ],
)
def test_a_step_is_done_again_when_what_decides_it_changed(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Bench, pytest.MonkeyPatch], None],
    again: list[str],
) -> None:
    bench.run()
    change(bench, monkeypatch)
    assert bench.run() == (0, again)


def test_it_says_what_it_will_cost_before_and_what_it_took_after(tmp_path: Path) -> None:
    bench = Bench(tmp_path, step("one", core_minutes=120), step("two", core_minutes=1, on_one_core=True))
    bench.run()
    said = bench.said()
    assert "expected: 1 h 01 min with 2 processes" in said
    assert "wall time 20 s, 2 processes" in said
    assert re.search(r"two +done +0 +10 s", said)
    assert [duration(seconds) for seconds in (59.6, 61, 3600, 5400)] == [
        "1 min 00 s",
        "1 min 01 s",
        "1 h 00 min",
        "1 h 30 min",
    ]


def test_a_tiny_plan_with_the_real_commands_fails_at_one_and_resumes(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    plan, console = load_plan(tmp_path / "tiny.yaml"), Console(width=160, record=True, file=StringIO())
    assert results_command(plan, 1, console, system_clock(), here=tmp_path) == 2
    said = console.export_text()
    assert re.search(r"row +done +0", said)
    assert re.search(r"page +failed +2", said)
    assert re.search(r"after +not run", said)
    assert "azure-fnj8-vqz-short" in (tmp_path / "names.txt").read_text()
    assert results_command(plan, 1, console, system_clock(), here=tmp_path) == 2
    said = console.export_text()
    assert "2 of 4 steps to do" in said
    assert re.search(r"row +already done", said)
    assert re.search(r"names +already done", said)


def test_a_page_that_is_not_utf_8_is_written_legibly(tmp_path: Path) -> None:
    run = "python -c \"import sys; sys.stdout.buffer.write(b'a\\xff')\""
    plan = ResultsPlan(steps=(Step(name="odd", run=run, writes=("odd.md",), prints_page=True),))
    assert results_command(plan, 1, Console(file=StringIO()), system_clock(), here=tmp_path) == 0
    assert (tmp_path / "odd.md").read_text() == "a\\xff"


@pytest.mark.long
def test_a_step_without_its_stamp_takes_its_runs_from_the_cache_of_the_study(tmp_path: Path) -> None:
    run = "aftershock map --at load=0.4 --at retries=1 --stalls 1 --watch 20 --seeds 2 --jobs {jobs}"
    plan = ResultsPlan(steps=(Step(name="map", run=run),))
    console = Console(width=160, file=StringIO())

    def cached() -> dict[str, int]:
        """A run that is made again is a new file."""
        return {path.name: path.stat().st_ino for path in (tmp_path / "runs" / "map-cache").glob("*.json")}

    assert results_command(plan, 1, console, system_clock(), here=tmp_path) == 0
    first = cached()
    assert len(first) >= 2
    (tmp_path / "runs" / "results" / "map.json").unlink()
    assert results_command(plan, 1, console, system_clock(), here=tmp_path) == 0
    assert cached() == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: []", "steps: Tuple should have at least 1 item"),
        ("steps: [{name: a, run: rm -rf x}]", "steps.0.run: String should match pattern"),
        ("steps: [{name: a, run: aftershock a, needs: [b]}]", "steps.a.needs: 'b' is no step before it"),
        ("steps: [{name: a, run: aftershock a}, {name: a, run: aftershock b}]", "steps.a: used twice"),
        ("steps: [", "plan.yaml:1: not valid YAML"),
        ('steps: [{name: a, run: "aftershock \'a"}]', "a.run: no command of a shell: No closing quotation"),
        ("steps: [{name: a, run: aftershock a, prints_page: true}]", "a.writes: is required with prints_page"),
        ("steps: [{name: a, run: aftershock a, core_minutes: 1e999}]", "steps.0.core_minutes: Input should be"),
        *(
            (f"steps: [{{name: a, run: aftershock a, writes: ['{path}']}}]", "steps.0.writes.0: Value error, should be")
            for path in ("", ".", "/etc/hosts", "../a.md", "a/../../b.md")
        ),
        (f"steps: {'[' * 3000}{']' * 3000}", "plan.yaml:1: not valid YAML: nested deeper than 40 levels"),
    ],
)
def test_a_broken_plan_is_refused_by_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_plan(path)


def test_the_shipped_plan_writes_every_generated_page_of_docs() -> None:
    root = Path(__file__).parents[3]
    written = {path for one in load_plan(PLAN_FILE).steps for path in one.writes}
    generated = {
        page.relative_to(root).as_posix()
        for page in (root / "docs").rglob("*.md")
        if page.read_text(encoding="utf-8").startswith("<!-- Generated by")
    }
    assert generated <= written


def test_make_conformance_runs_what_the_plan_runs_for_that_page() -> None:
    target = PLAN_FILE.parents[1].joinpath("Makefile").read_text().split("\nconformance:")[1].split("\n\n")[0]
    typed = [line.strip().removeprefix("-").replace("$(BIN)/", "") for line in target.splitlines()[1:]]
    steps = {step.name: step.typed(2).replace("--jobs 2", "--jobs $(JOBS)") for step in load_plan(PLAN_FILE).steps}
    assert typed == [steps["campaign"], steps["conformance"]]
