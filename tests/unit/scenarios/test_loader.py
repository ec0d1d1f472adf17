"""Every complaint about a scenario names file, line and field."""

import textwrap
from pathlib import Path

import pytest

from chaos.scenarios.actions import Ramp, RestoreAccounts, StartRemediation
from chaos.scenarios.loader import ScenarioError, load, loads, names
from services.chassis.settings import Settings

HEAD = """\
name: small
title: A small one
starts_at: 2026-02-02T18:03:00Z
duration_s: 100
regions:
  - {name: one, display: Region One, pair: two, role: canary}
  - {name: two, display: Region Two, pair: one}
load:
  one: {token_rate_per_s: 1, job_rate_per_s: 0.5}
  two: {token_rate_per_s: 1, job_rate_per_s: 0.5}
"""


def scenario(rest: str = "") -> str:
    return HEAD + textwrap.dedent(rest)


def complaint(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        loads(text, "s.yaml")
    return str(caught.value)


def test_a_scenario_becomes_typed_actions_in_order_of_time() -> None:
    found = loads(
        scenario("""\
        timeline:
          - {id: T02, at: "18:53", do: ramp, regions: [one], over_s: 5}
          - {id: T01, at_s: 3.5, do: start_remediation}
          - {id: T01.b, at: "18:53", do: restore_accounts, regions: [two], accounts: ["vmext*"]}
        """)
    )

    assert [(entry.id, entry.t) for entry in found.in_order] == [("T01", 3.5), ("T02", 50.0), ("T01.b", 50.0)]
    assert [type(entry.action) for entry in found.in_order] == [StartRemediation, Ramp, RestoreAccounts]
    assert [entry.row for entry in found.in_order] == ["T01", "T02", "T01"]
    assert found.starts_at.timestamp() == 1770055380.0


def test_the_line_of_plan_json_carries_time_action_and_parameters() -> None:
    found = loads(scenario('timeline: [{id: T1, at_s: 2, do: restore_accounts, regions: [one], accounts: ["a*"]}]'))

    assert found.timeline[0].plan() == {
        "id": "T1",
        "t": 2.0,
        "action": "restore_accounts",
        "parameters": {"regions": ["one"], "accounts": ["a*"], "spacing_s": 0.0},
    }


def test_the_settings_tree_holds_the_policy_job_as_scenario_and_entry_describe_it() -> None:
    found = loads(
        scenario("""\
        settings: {identity: {workers: 3}}
        remediation: {period_s: 20, gate: {variant: own_success, settle_s: 2}}
        timeline:
          - {id: T01, at_s: 0, do: start_remediation, parallel: 4, gate: {settle_s: 5}}
        """)
    )

    assert found.tree() == {
        "identity": {"workers": 3},
        "remediation": {
            "period_s": 20.0,
            "parallel": 4,
            "gate": {"variant": "own_success", "settle_s": 5.0},
        },
    }


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("outcome: collapsed\n", "s.yaml:11: outcome: unknown field"),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: explode}\n",
            "s.yaml:12: timeline.0.do: unknown action 'explode'; known: start_remediation, cancel",
        ),
        ("timeline:\n  - {id: T01, at_s: 1}\n", "s.yaml:12: timeline.0.do: is required; one of start_remediation,"),
        (
            "timeline:\n  - id: T01\n    at_s: 1\n    do: drain\n    region: one\n",
            "s.yaml:12: timeline.0.regions: is required\ns.yaml:15: timeline.0.region: unknown field",
        ),
        (
            'timeline:\n  - id: T01\n    do: note\n    at: "25:00"\n    observe: x\n',
            "s.yaml:14: timeline.0.at: should be 'HH:MM' on the first day",
        ),
        (
            'timeline:\n  - {id: T01, do: note, observe: x, at: "18:04", at_s: 1}\n',
            "s.yaml:12: timeline.0: needs exactly one of 'at' and 'at_s'",
        ),
        (
            "timeline:\n  - {id: T01, do: note, observe: x}\n",
            "s.yaml:12: timeline.0: needs exactly one of 'at' and 'at_s'",
        ),
        (
            "timeline:\n  - {id: T01, do: note, observe: x, at_s: 100.5}\n",
            "s.yaml:12: timeline.0.at_s: is bench second 100.5, outside 0 … 100",
        ),
        (
            "timeline:\n  - {id: T01, do: note, observe: x, at_s: -1}\n",
            "s.yaml:12: timeline.0.at_s: is bench second -1, outside 0 … 100",
        ),
        (
            'timeline:\n  - {id: T01, do: note, observe: x, at: "00:07"}\n',
            "s.yaml:12: timeline.0.at: is bench second -1076, outside 0 … 100; on the next day it is '+1d 00:07'",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: note, observe: x}\n  - {id: T01, at_s: 2, do: note, observe: x}\n",
            "s.yaml:13: timeline.1.id: 'T01' is also timeline.0",
        ),
        ("timeline:\n  - {id: t-1, at_s: 1, do: note, observe: x}\n", "s.yaml:12: timeline.0.id: String should match"),
        (
            "timeline:\n  - id: T01\n    at_s: 1\n    do: drain\n    regions:\n      - one\n      - mars\n",
            "s.yaml:17: timeline.0.regions.1: unknown region 'mars'; known: one, two",
        ),
        (
            "timeline:\n  - id: T01\n    at_s: 1\n    do: scale_identity\n    nodes:\n      mars: 2\n",
            "s.yaml:16: timeline.0.nodes.mars: unknown region 'mars'; known: one, two",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: scale_identity, nodes: {one: -2}}\n",
            "s.yaml:12: timeline.0.nodes.one: Input should be greater than or equal to 1 (got -2)",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: set_load, region: mars, factor: 2}\n",
            "s.yaml:12: timeline.0.region: unknown region 'mars'; known: one, two",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: set_load, region: one, factor: -2}\n",
            "s.yaml:12: timeline.0.factor: Input should be greater than or equal to 0 (got -2)",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: ramp, regions: [one], over_s: 5, from_fraction: 0.9}\n",
            "s.yaml:12: timeline.0: to_fraction must not be below from_fraction",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: mitigate, on: [R8]}\n",
            "s.yaml:12: timeline.0.on.0: Input should be 'R1', 'R2'",
        ),
        ("timeline:\n  - {id: T01, at_s: 1, do: mitigate}\n", "s.yaml:12: timeline.0: needs `on` or `off`"),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: mitigate, on: [R1], off: [R1]}\n",
            "s.yaml:12: timeline.0: cannot be both on and off: R1",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: end_fault, fault: F1}\n",
            "s.yaml:12: timeline.0.fault: no earlier inject_fault has the id 'F1'",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: cancel_remediation}\n",
            "s.yaml:12: timeline.0.do: no policy job was started before",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: start_remediation}\n  - {id: T02, at_s: 2, do: start_remediation}\n",
            "s.yaml:13: timeline.1.do: the policy job is already started",
        ),
        (
            "timeline:\n  - {id: T01, at_s: 1, do: start_remediation, parallel: 31}\n",
            "s.yaml:12: timeline.0.parallel: Input should be less than or equal to 30 (got 31)",
        ),
        ("remediation: {period: 60}\n", "s.yaml:11: remediation.period: unknown field"),
        ("remediation:\n  order: [mars]\n", "s.yaml:12: remediation.order.0: unknown region 'mars'; known: one, two"),
        ("settings: {storage: {}}\n", "s.yaml:11: settings.storage: unknown section 'storage'; known: blobstore,"),
        ("settings: {identity: 3}\n", "s.yaml:11: settings.identity: should be a mapping"),
        ("settings:\n  regions: {mars: {}}\n", "s.yaml:12: settings.regions.mars: unknown region 'mars'"),
        ("settings:\n  regions: {one: {x: {}}}\n", "s.yaml:12: settings.regions.one.x: unknown section 'x'"),
        ("settings:\n  regions: 3\n", "s.yaml:12: settings.regions: should be a mapping"),
        ("warmup_s: -1\n", "s.yaml:11: warmup_s: Input should be greater than or equal to 0 (got -1)"),
        ("tenants: [Nobody!]\n", "s.yaml:11: tenants.0: String should match pattern"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(rest: str, expected: str) -> None:
    assert complaint(scenario(rest)).startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("token_rate_per_s: 1", "token_rate_per_s: -1", "s.yaml:9: load.one.token_rate_per_s: Input should be greater"),
        ("job_rate_per_s: 0.5", "job_rate_per_s: lots", "s.yaml:9: load.one.job_rate_per_s: Input should be a valid n"),
        ("  two: {token", "  too: {token", "s.yaml:10: load.too: unknown region 'too'; known: one, two"),
        ("  two: {token_rate_per_s: 1, job_rate_per_s: 0.5}\n", "", "s.yaml:8: load: has no entry for region 'two'"),
        ("pair: two", "pair: one", "s.yaml:6: regions.0.pair: a region cannot be its own pair"),
        ("pair: two", "pair: three", "s.yaml:6: regions.0.pair: unknown region 'three'"),
        (", pair: one", "", "s.yaml:6: regions.0.pair: 'two' must name 'one' as its pair too"),
        ("name: two", "name: one", "s.yaml:7: regions.1.name: 'one' is listed twice"),
        ("role: canary", "role: king", "s.yaml:6: regions.0.role: Input should be 'canary', 'east'"),
        ("title: A small one\n", "", "s.yaml:1: title: is required"),
        ("T18:03:00Z", "T18:03:00", "s.yaml:3: starts_at: must be in UTC"),
        ("2026-02-02T18:03:00Z", "yesterday", "s.yaml:3: starts_at: not an ISO 8601 time: 'yesterday'"),
        ("duration_s: 100", "duration_s: 0", "s.yaml:4: duration_s: Input should be greater than 0 (got 0)"),
        ("duration_s: 100", "duration_s: 1e999", "s.yaml:4: duration_s: Input should be a finite number"),
    ],
)
def test_a_wrong_head_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    text = scenario()
    assert old in text

    lines = complaint(text.replace(old, new, 1)).splitlines()

    assert [line for line in lines if line.startswith(expected)], lines


@pytest.mark.parametrize(
    ("rest", "field"),
    [
        ("timeline: [{id: T1, at_s: 2, do: drain, regions: [One]}]", "timeline.0.regions.0"),
        ("timeline: [{id: T1, at_s: 2, do: scale_identity, nodes: {one: 0}}]", "timeline.0.nodes.one"),
        ("expect: [{id: E1, says: a, signal: happiness, above: 1}]", "expect.0.signal"),
    ],
)
def test_a_list_without_a_right_item_is_not_called_empty(rest: str, field: str) -> None:
    [line] = complaint(scenario(rest)).splitlines()
    assert line.startswith(f"s.yaml:11: {field}: ")


@pytest.mark.parametrize(
    ("rest", "field"),
    [
        ("timeline: [{id: T1, at_s: 2, do: drain, regions: []}]", "timeline.0.regions"),
        ("expect: [{id: E1, says: a, all: []}]", "expect.0.all"),
    ],
)
def test_an_empty_list_is_called_so(rest: str, field: str) -> None:
    assert complaint(scenario(rest)) == f"s.yaml:11: {field}: Tuple should have at least 1 item after validation, not 0"


def test_all_complaints_come_at_once() -> None:
    found = complaint(scenario("extra: 1\nother: 2\nwarmup_s: x\n"))

    assert [line.split(" ")[0] for line in found.splitlines()] == ["s.yaml:11:", "s.yaml:12:", "s.yaml:13:"]


def test_a_document_that_is_no_mapping_is_refused() -> None:
    assert complaint("- 1\n- 2\n").startswith("s.yaml:1: Input should be a valid dictionary")


class Depth(Settings):
    """Stands for a service's settings."""

    queue_length: int = 3


def test_with_models_the_settings_are_checked_too() -> None:
    text = scenario("""\
        settings:
          identity:
            queue_length: deep
          regions:
            one:
              identity: {depth: 1}
        """)

    with pytest.raises(ScenarioError) as caught:
        loads(text, "s.yaml", models={"identity": Depth})

    assert str(caught.value).splitlines() == [
        "s.yaml:13: settings.identity.queue_length: Input should be a valid integer, unable to parse string as an "
        "integer (got 'deep')",
        "s.yaml:16: settings.regions.one.identity.depth: unknown field",
    ]


def test_an_unknown_scenario_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError) as caught:
        load("azure")

    assert str(caught.value) == "unknown scenario 'azure'; known: azure-fnj8-vqz, azure-fnj8-vqz-short, calm-day"
    assert names() == ("azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day")


def test_a_scenario_is_loaded_from_any_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(scenario())

    assert load(path).name == load(str(path)).name == "small"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no scenario file '.*gone\.yaml'"):
        load(tmp_path / "gone.yaml")


def test_a_broken_file_keeps_its_name_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [\n")

    with pytest.raises(ScenarioError, match=r"^broken\.yaml:2: not valid YAML"):
        load(tmp_path / "broken.yaml")
