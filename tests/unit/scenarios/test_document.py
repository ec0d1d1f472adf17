"""YAML with line numbers, read by YAML 1.2's rules."""

from pathlib import Path

import pytest

from chaos.scenarios.document import NODES_MAX, DocumentError, parse, read


def test_times_and_switch_words_stay_text() -> None:
    found = parse("at: 18:03\non: [R1]\noff: no\nday: 2026-02-02\nhex: 0x10\n", "f.yaml").values

    assert found == {"at": "18:03", "on": ["R1"], "off": "no", "day": "2026-02-02", "hex": "0x10"}


def test_plain_values_are_what_they_look_like() -> None:
    text = "a: true\nb: false\nc: null\nd:\ne: +2\nf: -1.5\ng: .5\nh: 1e3\ni: ''\nj: '3'\n"

    assert parse(text, "f.yaml").values == {
        "a": True,
        "b": False,
        "c": None,
        "d": None,
        "e": 2,
        "f": -1.5,
        "g": 0.5,
        "h": 1000.0,
        "i": "",
        "j": "3",
    }


def test_each_value_knows_its_line() -> None:
    document = parse("a:\n  - x\n  - b: 1\n    c:\n      d: 2\n", "f.yaml")

    assert document.locate(("a", 0)) == (2, "a.0")
    assert document.locate(("a", 1, "b")) == (3, "a.1.b")
    assert document.locate(("a", 1, "c", "d")) == (5, "a.1.c.d")


def test_parts_that_are_not_in_the_file_are_left_out_of_a_message() -> None:
    document = parse("a:\n  - b: 1\n", "f.yaml")

    assert document.message(("a", 0, "inner", "b"), "is odd") == "f.yaml:2: a.0.b: is odd"
    assert document.message(("a", 0, "inner", "c"), "is required", missing=True) == "f.yaml:2: a.0.c: is required"
    assert document.message((), "is odd") == "f.yaml:1: is odd"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("# nothing\n", "f.yaml:1: the file is empty"),
        ("a: 1\nb: [\n", "f.yaml:3: not valid YAML"),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: given twice"),
        ("a:\n  b: 1\n  b: 2\n", "f.yaml:3: a.b: given twice"),
        ("a: &x\n  b: *x\n", "f.yaml:1: an alias refers to itself"),
        ("a: !!python/object:os.system x\n", "f.yaml:1: cannot be read as python/object:os.system"),
        ("a: " + "9" * 5000 + "\n", "f.yaml:1: cannot be read as int"),
        ("? [a]\n: 1\n", "f.yaml:1: a key must be text"),
        ("a: \x00\n", "f.yaml:1: not valid YAML"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(text, "f.yaml")

    assert str(caught.value).startswith(message)


def test_aliases_cannot_multiply_without_bound() -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 8)]

    with pytest.raises(DocumentError, match=f"more than {NODES_MAX} values"):
        parse("\n".join(lines), "f.yaml")


def test_a_file_that_is_absent_or_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")

    with pytest.raises(DocumentError, match=r"latin\.yaml:1: not UTF-8 text"):
        read(tmp_path / "latin.yaml")
    with pytest.raises(DocumentError, match=r"gone\.yaml: cannot be read: No such file"):
        read(tmp_path / "gone.yaml")
