from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.inputs.problems import InvalidInput, Mark
from badgateway.inputs.yamltext import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("012", 12),
        ("-012", -12),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("10:20:30", "10:20:30"),
        ("2025-01-01", "2025-01-01"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("~", None),
        ("", None),
        ("null", None),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5e3", 500.0),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("=", "="),
        ("'012'", "012"),
        ('"true"', "true"),
        ("|\n  12", "12"),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_values_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_yaml(f"key: {text}").value
    assert parsed == {"key": value}
    assert isinstance(parsed, dict)
    assert type(parsed["key"]) is type(value)


def test_a_yaml_1_1_directive_does_not_bring_back_the_old_booleans() -> None:
    assert parse_yaml("%YAML 1.1\n---\na: on").value == {"a": "on"}


def test_nan_is_read() -> None:
    assert resolve(".nan") != resolve(".nan")


def test_keys_are_text() -> None:
    assert parse_yaml("502: a\ntrue: b\n: c").value == {"502": "a", "true": "b", "": "c"}


def test_every_key_and_value_has_its_position() -> None:
    document = parse_yaml("a: 1\nlist:\n  - {b: two,\n     c: 3}\n  - x\nempty:\n")
    assert document.mark(("a",)) == Mark(1, 4)
    assert document.mark(("a",), key=True) == Mark(1, 1)
    assert document.mark(("list", 0, "c")) == Mark(4, 9)
    assert document.mark(("list", 0, "c"), key=True) == Mark(4, 6)
    assert document.mark(("list", 1)) == Mark(5, 5)
    assert document.mark(("list", 1, "deeper", 3)) == Mark(5, 5), "the nearest thing that exists"
    assert document.mark(("empty",)) == Mark(6, 1), "nothing to point at but the key"


def test_characters_inside_a_text_are_found_behind_its_quote() -> None:
    document = parse_yaml('a: "xyz"\nb: xyz\nc: |\n  xyz\n')
    assert document.inside(("a",), 2) == Mark(1, 7)
    assert document.inside(("b",), 2) == Mark(2, 6)
    assert document.inside(("c",), 2) == Mark(3, 4), "a block's inside is not computed"


def wrong(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_yaml(text, file="f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {b: 1", "f.yaml:1:9: is no valid YAML: expected ',' or '}', but got '<stream end>'"),
        ("a: b: c", "f.yaml:1:5: is no valid YAML: mapping values are not allowed here; text that contains"),
        ("\ta: 1", "f.yaml:1:1: is no valid YAML: found character '\\t' that cannot start any token; quote text"),
        ("a: 1\nb: @x", "f.yaml:2:4: is no valid YAML"),
        ("a:\n  b: x\x00", "f.yaml:2:7: is no valid YAML: the character U+0000 is not allowed"),
        ("a: !!python/object:os.system x", "f.yaml:1:4: tags are not used here"),
        ("!x a: 1", "f.yaml:1:1: a key must be plain text"),
        ("? [1]\n: 2", "f.yaml:1:3: a key must be plain text"),
        ("a: *x", "f.yaml:1:4: *x has no anchor"),
        ("a: &x [*x]", "f.yaml:1:8: *x contains itself"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document starts here"),
        ("%YAML 1.3\n---\na: 1", "f.yaml:1:1: is no valid YAML"),
        ("[" * 100_000, f"is nested more than {MAX_DEPTH} deep"),
        ('a: "\\ud800"', "f.yaml:1:4: holds half of a surrogate pair"),
        ("a: \ud800", "f.yaml:1:4: is no valid YAML: the character U+D800"),
    ],
)
def test_what_is_no_yaml_is_one_problem_with_its_position(text: str, said: str) -> None:
    [problem] = wrong(text)
    assert said in problem


def test_all_duplicate_keys_are_told_at_once() -> None:
    assert wrong("a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        "f.yaml:2:11: b.c: the same key a second time (the first is at 2:5)",
        "f.yaml:3:1: a: the same key a second time (the first is at 1:1)",
    ]


def test_aliases_work_but_not_as_a_bomb() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x").value == {"a": [1, 2], "b": [1, 2]}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    [problem] = wrong("\n".join(lines))
    assert "counting each alias" in problem


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(InvalidInput) as caught:
            read_yaml(path)
        return str(caught.value)

    assert refused(tmp_path / "none.yaml").endswith("none.yaml: cannot be read: No such file or directory")
    assert "cannot be read: Is a directory" in refused(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refused(latin).endswith("latin.yaml:2:1: is not UTF-8 text")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refused(big).endswith("is larger than 1 MiB")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path).value == {"a": 1}


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    with suppress(InvalidInput):
        parse_yaml(text)


_SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
)


@given(_VALUES)
def test_json_is_yaml(value: Any) -> None:
    assert parse_yaml(json.dumps({"value": value})).value == {"value": value}
