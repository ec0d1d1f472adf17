"""Any scenario file and any `--set` give an exit code of the table, one line per finding and no traceback."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chaos.cli import main
from chaos.command import run as running
from chaos.experiment.plan import parse_assignment, settings_models
from chaos.progress.terminal import terminal
from chaos.scenarios.document import DEPTH_MAX
from chaos.scenarios.loader import FOLDER
from compose.runtime import RuntimeUnavailable

TINY = """\
name: tiny
title: One region
starts_at: 2026-02-02T18:03:00Z
warmup_s: 30
duration_s: 60
regions:
  - {name: northeurope, display: North Europe, identity_nodes: 1}
load:
  northeurope: {token_rate_per_s: 5, job_rate_per_s: 0}
timeline:
  - {id: T01, at_s: 10, do: drain, regions: [northeurope]}
"""


class Reached(Exception):
    """The input was taken; the run itself is not what is tested here."""


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def reached(*_arguments: object, **_options: object) -> None:
        raise RuntimeUnavailable("reached")

    monkeypatch.setattr(running, "carry_out", reached)
    monkeypatch.chdir(tmp_path)


def run(path: object, *options: str) -> Result:
    return CliRunner().invoke(main, ["run", str(path), *options])


def findings(result: Result) -> list[str]:
    """What was said, once it is sure that it was said well."""
    assert result.exit_code == 2, (result.exit_code, result.output)
    lines = result.stderr.splitlines()
    assert lines
    for line in lines:
        assert line.startswith("aftershock")
        assert line.isprintable()
        assert len(line) < 1200
        assert "Traceback" not in line
    return lines


def written(text: str | bytes, name: str = "bad.yaml") -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def tiny(old: str, new: str) -> str:
    assert old in TINY
    return TINY.replace(old, new)


def test_the_base_scenario_is_valid() -> None:
    assert findings(run(written(TINY))) == ["aftershock: reached"]


FILES: dict[str, tuple[str | bytes, str]] = {
    "a day without end": (tiny("at_s: 10", "at: '+99999999d 00:00'"), r":11: timeline.0.at: should be 'HH:MM'"),
    "a day of next year": (tiny("at_s: 10", "at: '+999d 00:00'"), r":11: timeline.0.at: is bench second"),
    "a tag that lies of a number": (tiny("60", "!!int abc"), r":5: cannot be read as int$"),
    "a tag that lies of a float": (tiny("60", "!!float x"), r":5: cannot be read as float$"),
    "a tag that lies of a truth": (tiny("60", "!!bool maybe"), r":5: cannot be read as bool$"),
    "a tag that lies of nothing": (tiny("60", "!!null 5"), r":5: cannot be read as null$"),
    "a tag of Python": (tiny("60", "!!python/object/apply:os.getpid []"), r":5: cannot be read as python"),
    "a tag nobody knows": (tiny("60", "!mine 5"), r":5: cannot be read as !mine$"),
    "binary": (tiny("60", "!!binary aGk="), r":5: cannot be read as binary$"),
    "a set": (tiny("timeline:", "tenants: !!set {a, b}\ntimeline:"), r":10: cannot be read as set$"),
    "before there were clouds": (tiny("2026", "1969"), r":3: starts_at: should be between 1980 and 2900"),
    "a year of five digits": (tiny("2026", "12026"), r":3: starts_at: not an ISO 8601 time"),
    "the last year of all": (tiny("2026", "9999"), r":3: starts_at: should be between"),
    "a second since 1970": (tiny("2026-02-02T18:03:00Z", "5"), r":3: starts_at: should be between"),
    "brackets": (tiny("60", "[" * 3000), rf":5: not valid YAML: nested deeper than {DEPTH_MAX} levels$"),
    "braces": (tiny("60", "{a: " * 3000), r":5: not valid YAML: nested deeper"),
    "dashes": (TINY + "x:\n" + "".join(" " * n + "-\n" for n in range(1, 100)), r"nested deeper"),
    "an alias of itself": (tiny("60", "&a [*a]"), r":5: an alias refers to itself$"),
    "a thousand laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
        r"more than 20000 values$",
    ),
    "a key twice": (TINY + "name: tiny\n", r":12: name: given twice$"),
    "not a number": (tiny("60", ".nan"), r":5: duration_s: "),
    "without end": (tiny("60", "1e999"), r":5: duration_s: Input should be a finite number"),
    "without end, negative": (tiny("60", "-1e999"), r":5: duration_s: "),
    "negative": (tiny("60", "-60"), r":5: duration_s: Input should be greater than 0"),
    "nothing": (tiny("60", "0"), r":5: duration_s: Input should be greater than 0"),
    "longer than a life": (tiny("60", "1e300"), r":5: duration_s: Input should be less than or equal to 1000000"),
    "a huge number": (tiny("60", "9" * 5000), r":5: cannot be read as int$"),
    "a warm-up longer than a life": (tiny("30", "1e300"), r":4: warmup_s: Input should be less than or equal"),
    "a truth for a number": (tiny("identity_nodes: 1", "identity_nodes: [1]"), r":7: regions.0.identity_nodes: "),
    "a list for a mapping": (tiny("load:\n  n", "load:\n- n"), r":8: load: "),
    "a mapping for a list": (tiny("  - {name: n", "  {name: n"), r":6: regions: "),
    "a mapping for a key": (TINY + "? {a: b}\n: c\n", r":12: a key must be text$"),
    "a name with a way out": (tiny("name: tiny", "name: ../../tiny"), r":1: name: String should match pattern"),
    "a title that colours": (tiny("One region", r'"\e[31mred"'), r":2: a control character in '\\x1b\[31mred'$"),
    "a key that colours": (TINY + r'"\e[31m": 1', r":12: a control character in "),
    "an event at no time": (tiny("at_s: 10", "at_s: .inf"), r":11: timeline.0.at_s: "),
    "a fault of a huge time": (tiny("at_s: 10", "at_s: 1e308"), r":11: timeline.0.at_s: is bench second"),
    "a region nobody has": (tiny("[northeurope]", "[mars]"), r":11: timeline.0.regions.0: unknown region 'mars'"),
    "a region of which an account cannot be named": (
        TINY.replace("northeurope", "a" * 24),
        r"String should match pattern|blobstore account",
    ),
    "empty": ("", r":1: the file is empty$"),
    "a comment": ("# nothing\n", r":1: the file is empty$"),
    "two documents": (TINY + "---\n" + TINY, r":12: not valid YAML: but found another document$"),
    "a word": ("hello", r":1: "),
    "a number": ("5", r":1: "),
    "nul": (TINY.encode() + b"\0", r":1: not valid YAML: unacceptable character"),
    "not UTF-8": (TINY.encode() + b"\n# \xff\xfe", r":13: not UTF-8 text"),
    "UTF-16": (TINY.encode("utf-16"), r":1: not UTF-8 text"),
    "a picture": (bytes(range(256)) * 20, r":\d+: not UTF-8 text"),
    "more than a file": ("#" * 2**21, r":1: larger than 1048576 bytes$"),
    "an open string": (tiny("tiny", "'tiny"), r": not valid YAML"),
    "a tabulator": (tiny("  - {name", "\t- {name"), r":7: not valid YAML"),
    "settings that are a list": (TINY + "settings: [1]\n", r":12: settings: "),
    "settings of nobody": (TINY + "settings: {nobody: {x: 1}}\n", r"nobody: unknown section"),
    "settings that contradict": (
        TINY + "settings: {identity: {shedding: {shed_from: 1}}}\n",
        r"identity.shedding.shed_from: must be below shed_all, which is 1 \(got 1.0\)$",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_named_with_the_line(case: str) -> None:
    text, said = FILES[case]
    lines = findings(run(written(text)))
    assert any(re.search(said, line) for line in lines), lines


@pytest.mark.parametrize("name", ["a:b.yaml", "with space.yaml", "[bold].yaml", "ä.yaml", "-x.yaml", "new\nline.yaml"])
def test_a_file_may_have_any_name(name: str) -> None:
    assert findings(run("./" + str(written(TINY, name)))) == ["aftershock: reached"]
    assert all(":5: " in line or "\\n" in line for line in findings(run("./" + str(written(tiny("60", "-1"), name)))))


def test_a_path_that_is_not_a_file_is_reported() -> None:
    Path("folder.yaml").mkdir()
    os.mkfifo("pipe.yaml")
    for name in ("folder.yaml", "pipe.yaml", "absent.yaml", "", ".", "/", "x" * 300 + ".yaml", "no/such/folder.yaml"):
        (line,) = findings(run(name))
        assert "unknown scenario" in line or "no scenario file" in line or "File name too long" in line


def test_markup_in_what_a_user_wrote_is_text() -> None:
    written(tiny("One region", "'Restore [/etc] :smile: [bold]'"))
    result = run("bad.yaml", "--out", "run[/x]")
    assert findings(result) == ["aftershock: reached"]
    assert "tiny: Restore [/etc] :smile: [bold] (seed 1, virtual)" in result.stdout
    assert Path("run[/x]").is_dir()


def test_the_terminal_takes_no_markup_from_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    terminal().print("report  run[/x]/report.html :smile: [bold]")
    assert capsys.readouterr().out == "report  run[/x]/report.html :smile: [bold]\n"


@pytest.mark.parametrize(
    ("study", "scenario", "said"),
    [
        (["campaign", "--scenario"], "bad.yaml", ": expect: a campaign counts what holds, and tiny expects nothing"),
        (["matrix"], "bad.yaml", ": timeline: waves are timed from the first action, which tiny lacks"),
        (["matrix", "--defences"], "calm-day", ": timeline: waves are timed from the entry T09, which calm-day lacks"),
    ],
    ids=["campaign", "matrix", "matrix --defences"],
)
def test_a_study_refuses_a_scenario_that_it_could_not_judge(study: list[str], scenario: str, said: str) -> None:
    written(TINY.replace("do: drain, regions: [northeurope]", "do: note, observe: Nothing happens."))
    (line,) = findings(CliRunner().invoke(main, [*study, scenario]))
    assert line.endswith(said)
    assert [path.name for path in Path().iterdir()] == ["bad.yaml"]


def test_the_number_of_reported_findings_is_bounded() -> None:
    many = TINY + "".join(f"x{number}: 1\n" for number in range(500))
    lines = findings(run(written(many)))
    assert len(lines) == 21
    assert lines[-1].endswith("and 480 more findings")


SETS = [
    ("identity.queue_length", "should be section.field=value"),
    ("=5", "should be section.field=value"),
    ("identity..queue_length=5", "should be section.field=value"),
    (".identity.queue_length=5", "should be section.field=value"),
    ("identity=5", "should be section.field=value"),
    (".".join(["a"] * 5000) + "=5", "should be section.field=value"),
    ("identity.queue_length=[", "identity.queue_length: not a value: "),
    ("identity.queue_length=" + "[" * 3000, "identity.queue_length: not a value: not valid YAML: nested deeper"),
    ("identity.queue_length=!!int x", "identity.queue_length: not a value: cannot be read as int"),
    ("identity.queue_length=0x10", "identity.queue_length: Input should be a valid integer"),
    ("identity.queue_length=nan", "identity.queue_length: "),
    ("identity.queue_length=1e999", "identity.queue_length: "),
    ("identity.service_time_s=1e999", "identity.service_time_s: Input should be a finite number"),
    ("identity.queue_length=\x1b[31m", "identity.queue_length: not a value: "),
    ("identity.limit.least.x=5", "identity.limit.least: "),
    ("identity.limit=5", "identity.limit: "),
    ("regions.eastus=5", "regions.eastus: should be a mapping (got 5)"),
    ("regions.eastus.identity=5", "regions.eastus.identity: should be a mapping (got 5)"),
    ("regions.mars.identity.workers=5", "regions.mars: unknown region; known: "),
    ("regions.eastus.nobody.workers=5", "regions.eastus.nobody: unknown section; known: blobstore"),
    ("regions.eastus.remediation.period_s=5", "regions.eastus.remediation: unknown section"),
    ("instances.nope.identity.workers=5", "instances.nope: unknown instance; known: "),
    ("instances.identity-eastus-1=5", "instances.identity-eastus-1: should be a mapping (got 5)"),
    ("instances.identity-eastus-1.nobody.x=5", "instances.identity-eastus-1.nobody: unknown section"),
    ("instances.identity-eastus-1.identity.workers=0", "identity.workers: Input should be greater than or equal to 1"),
    ("loadgen.regions.mars.token_rate_per_s=5", "loadgen.regions.mars: unknown region"),
    ("loadgen.regions=5", "loadgen.regions: "),
    ("nobody.x=1", "nobody: unknown section; known: blobstore"),
    ("identity.shedding.shed_from=1", "identity.shedding.shed_from: must be below shed_all, which is 1"),
    ("identity.limit={least: 9, most: 3}", "identity.limit.least: must not be above most, which is 3 (got 9)"),
    ("identity.limit={kind: gradient2, most: 3}", "identity.limit.least: must not be above most, which is 3 (got 20)"),
]


@pytest.mark.parametrize(("assignment", "said"), SETS)
def test_a_bad_assignment_names_the_setting(assignment: str, said: str) -> None:
    (line,) = findings(run("azure-fnj8-vqz-short", "--set", assignment))
    assert said in line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-0", 0),
        ("on", "on"),
        ("true", True),
        ("1:30", "1:30"),
        ("2026-02-02", "2026-02-02"),
        ("0o7", "0o7"),
        ("1_000", "1_000"),
        ("", None),
        ("~", None),
        ("[a, 1]", ["a", 1]),
        ("{a: 1}", {"a": 1}),
        ("a=b", "a=b"),
    ],
)
def test_a_value_is_read_by_the_rules_of_scenario_files(text: str, value: object) -> None:
    assert parse_assignment(f"identity.x={text}") == {"identity": {"x": value}}


OPTIONS = [
    ["run", "calm-day", "--perturb", "nan"],
    ["run", "calm-day", "--perturb", "inf"],
    ["run", "calm-day", "--perturb", "-0.1"],
    ["run", "calm-day", "--perturb", "0x"],
    ["run", "calm-day", "--seed", "-1"],
    ["run", "calm-day", "--seed", "9" * 30],
    ["run", "calm-day", "--seed", "1.5"],
    ["run", "azure-fnj8-vqz-short", "--shift", "T07=nanm"],
    ["run", "azure-fnj8-vqz-short", "--shift", f"T07={'9' * 400}m"],
    ["run", "calm-day", "--with", "R99"],
    ["run", "calm-day", "--runtime", "nowhere"],
    ["map", "--watch", "nan"],
    ["map", "--seeds", "0"],
    ["map", "--jobs", "0"],
    ["map", "--x", "load=nan,inf"],
    ["map", "--x", "identity.queue_length=010,x"],
    ["map", "--at", "load=0.4"],
    ["map", "--stalls", "nan"],
    ["matrix", "calm-day", "--jobs", "0"],
    ["matrix", "calm-day", "--seeds", "0"],
    ["matrix", "calm-day", "--seeds", "1000000000"],
    ["matrix", "calm-day", "--sets-max-size", "0"],
    ["matrix", "calm-day", "--mitigations", "Q"],
    ["campaign", "--seeds", "0"],
    ["campaign", "--perturbed", "-1"],
    ["campaign", "--jobs", "0"],
    ["campaign", "--scenario", "nosuch"],
    ["conformance", "/nowhere.json"],
    ["report", "/nowhere"],
    ["report", "/proc"],
    ["diff", "/nowhere", "/nowhere"],
    ["run", "azure-fnj8-vqz-short", "--change", "T01" + ".a" * 5000 + "=5"],
    ["check-part", "services.policies.backoff:Backoff", "--kind", "nope"],
    ["try-retries", "/dev/null", "--as", "nope"],
    ["try-retries", "/dev/zero"],
    ["results", "--plan", "/dev/zero"],
    ["size", "--sizes", "1:100000000000"],
    ["size", "--cached", "--sizes", "none", "--calm-sizes", "none", "--page", "/proc/nowhere/page.md"],
    ["serve", "--port", "70000"],
    ["serve", "--host", ""],
]


@pytest.mark.parametrize("arguments", OPTIONS, ids=lambda words: " ".join(words)[:100])
def test_a_bad_option_is_one_line(arguments: list[str]) -> None:
    assert len(findings(CliRunner().invoke(main, arguments))) == 1


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("host", "address"), [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")]
)
def test_serve_listens_on_any_kind_of_host(host: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve_local(settings: Any, _scenario: Any) -> None:
        print(settings.address)

    monkeypatch.setattr("chaos.controller.serve.serve_local", serve_local)
    result = CliRunner().invoke(main, ["serve", "--host", host, "--port", "0", "--scenario", "calm-day"])
    assert (result.exit_code, result.output) == (0, f"{address}:0\n")


@pytest.mark.real_time
def test_serve_names_an_invalid_host() -> None:
    (line,) = findings(CliRunner().invoke(main, ["serve", "--host", "no.such.host.invalid", "--port", "0"]))
    assert "--port 0: cannot listen on no.such.host.invalid:0: " in line


# Settings that exclude each other


def ordered_models(model: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if getattr(model, "ORDER", ()):
        yield path, model
    for name, field in getattr(model, "model_fields", {}).items():
        if isinstance(field.annotation, type):
            yield from ordered_models(field.annotation, (*path, name))


ORDERS = [
    (".".join(path), low, relation, high)
    for section, model in settings_models().items()
    for path, inner in ordered_models(model, (section,))
    for low, relation, high in inner.ORDER
]


@pytest.mark.parametrize(("path", "low", "relation", "high"), ORDERS)
def test_a_lower_bound_above_its_upper_one_is_refused_by_field(path: str, low: str, relation: str, high: str) -> None:
    wait = ["--set", f"{path}.wait=exponential"] if low == "base_s" and "Retry" in low + path.title() else []
    both = [f"{path}.{low}=50", f"{path}.{high}=40"]
    if "workflow" in path or "sdk" in path:
        wait = ["--set", f"{path}.wait=exponential"]
    (line,) = findings(run("calm-day", *wait, *(word for text in both for word in ("--set", text))))
    word = "be below" if relation == "<" else "not be above"
    shown = rf"\.?{low}: must {word} {high}, which is 40 \(got 50(\.0)?\)$"
    assert re.search(path.split(".", 1)[-1].rpartition(".")[2] if "." in path else path, line)
    assert re.search(shown, line), line


def test_the_settings_contain_bound_pairs() -> None:
    assert len(ORDERS) >= 8


# Anything at all

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["eastus", "T07", "18:03", "+1d 00:00", "[/etc]", "*", "identity", "2026-02-02T18:03:00Z"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SHORT = (FOLDER / "azure-fnj8-vqz-short.yaml").read_text()
FUZZ = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def harmless(result: Result) -> None:
    assert result.exit_code in (0, 1, 2), (result.exit_code, result.output, result.exception)
    for line in result.stderr.splitlines():
        assert line.startswith("aftershock"), line
        assert line.isprintable(), line
    assert "Traceback" not in result.output
    for left in Path().glob("runs*"):
        shutil.rmtree(left)


@FUZZ
@given(st.binary(max_size=300) | st.text(max_size=300))
@example("&a [*a]")
def test_arbitrary_bytes_are_refused_as_a_scenario(content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    harmless(run(written(raw)))


def replaced(document: Any, path: list[int], value: Any) -> Any:
    """The document with one of its parts, found by numbers, exchanged for a value."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    keys: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[path[0] % len(keys)]
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[key] = replaced(copy[key], path[1:], value)
    return copy


def changed_scenarios(text: str) -> Callable[..., Any]:
    document = yaml.safe_load(re.sub(r"(?m)(: )([0-9][0-9]:[0-9][0-9]|\+1d [0-9:]+)", r"\1'\2'", text))
    document["starts_at"] = "2026-02-02T18:03:00Z"
    paths = st.lists(st.integers(0, 30), min_size=1, max_size=5)
    return lambda: st.builds(replaced, st.just(document), paths, VALUES)


@FUZZ
@given(changed_scenarios(TINY)())
def test_any_value_in_any_place_of_a_scenario_is_taken_or_refused(document: Any) -> None:
    harmless(run(written(yaml.safe_dump(document, allow_unicode=True))))


PARTS = st.sampled_from(
    [
        "identity",
        "loadgen",
        "regions",
        "instances",
        "eastus",
        "queue_length",
        "limit",
        "remediation",
        "gate",
        "packages",
    ]
) | st.text(max_size=8)


@FUZZ
@given(st.lists(PARTS, max_size=5), st.text(max_size=20) | VALUES.map(lambda value: json.dumps(value, default=str)))
def test_anything_behind_set_is_taken_or_refused(parts: list[str], value: str) -> None:
    harmless(run("azure-fnj8-vqz-short", f"--set={'.'.join(parts)}={value}"))


@FUZZ
@given(st.sampled_from(["--shift", "--drop", "--perturb", "--seed", "--with", "--size"]), st.text(max_size=20))
def test_anything_behind_an_option_is_taken_or_refused(option: str, value: str) -> None:
    harmless(run("azure-fnj8-vqz-short", f"{option}={value}"))


def test_the_temporary_folder_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    assert findings(run(written("{"))) != []
