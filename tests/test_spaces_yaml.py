"""YAML files: what is read, what is refused, and that what is written reads back exactly."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import yaml

from spaces.faults import SpaceError
from spaces.yaml_files import MAX_BYTES, MAX_DEPTH, dump_yaml, find_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("3E+2", 300.0),
        ("-2.5e4", -25000.0),
        ("+1e3", 1000.0),
        (".5e1", 5.0),
        ("1.0e-3", 0.001),
        ("12", 12),
        ("e5", "e5"),
        ("1e", "1e"),
        ("'1e-3'", "1e-3"),
        ("0x1e3", 0x1E3),
        ("null", None),
        ("true", True),
    ],
)
def test_numbers_with_an_exponent_need_no_point(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}", "f").data["key"]
    assert read == value
    assert type(read) is type(value)


def test_what_is_read_is_otherwise_what_safe_load_reads() -> None:
    text = "a: [1, 2.5, yes, ~, text, {b: 'c: d'}]\nb:\n  - x\n  - |\n    long\n    text\n"
    assert parse_yaml(text, "f").data == yaml.safe_load(text)


def test_every_key_and_list_entry_has_its_line() -> None:
    document = parse_yaml("# comment\na:\n  b:\n    - 1\n    - {c: 2}\nd.e: 3\n", "f")
    assert document.lines[("a",)] == 2
    assert document.lines[("a", "b", 1, "c")] == 5
    assert document.lines[("d.e",)] == 6


def test_every_key_that_is_given_twice_is_told_with_both_lines() -> None:
    with pytest.raises(SpaceError) as error:
        parse_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "f.yaml")
    assert "a is given twice (lines 1 and 5)" in str(error.value)
    assert "b.c is given twice (lines 3 and 4)" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "f.yaml: must hold a mapping"),
        ("", "f.yaml: must hold a mapping"),
        ("a: [1\nb: 2", r"f.yaml:\d: "),
        ("a: 1\n\tb: 2", "f.yaml:2: "),
        ("true: 1", r'must have text as keys \(line 1\); received "true"\. Put the key in quotes'),
        ("a:\n  3: b", r"f.yaml:1: a must have text as keys \(line 2\)"),
        ("a: &x 1\nb: *x\n", "f.yaml:2: must not use aliases"),
        ("a: !!python/object/apply:os.getcwd []", "f.yaml:1: could not determine a constructor"),
        ("a: 1\n---\nb: 2", "f.yaml"),
        ("a: \x00", "is not YAML"),
        ('a:\n  "\\ud800": 1', r"f.yaml:2: must not use halves of characters \(\\ud800\)"),
        ("a: 2024-99-99", "is not YAML"),
        ("a: " + "9" * 5000, "is not YAML"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"must not nest over {MAX_DEPTH} deep"),
        ("a: " + "[" * 100_000, "must not nest"),
    ],
)
def test_what_is_not_a_plain_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        parse_yaml(text, "f.yaml")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 20))
    with pytest.raises(SpaceError, match="must not use aliases"):
        parse_yaml("l0: &l0 [lol]\n" + levels, "bomb.yaml")


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("a: " + "x" * MAX_BYTES)
    with pytest.raises(SpaceError, match="must be at most 256 KiB long"):
        read_yaml(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"none\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(SpaceError, match="cannot be read"):
        read_yaml(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe")
    with pytest.raises(SpaceError, match="must be UTF-8 text"):
        read_yaml(binary)


def test_any_plain_values_read_back_exactly() -> None:
    draw = random.Random(0)
    words = ["1e-3", "1e5", "null", "yes", "", " x ", "a: b", "#no", "é漢🙂", "two\nlines\n", "'q'", "1:30"]
    words += ["2024-01-01", "*a", "&b", "!c", "<<", "=", "-", "0x1f", "1_000", ".5e3", "\x85", "tab\t", "~"]

    def value(depth: int) -> object:
        kind = draw.randrange(7 if depth < 3 else 5)
        if kind == 0:
            return draw.choice([None, True, False])
        if kind == 1:
            return draw.randrange(-(10**9), 10**9)
        if kind in (2, 3):
            return draw.choice([draw.random() * 10.0 ** draw.randrange(-300, 300), 1e22, 5e-324, -0.0, 0.1])
        if kind == 4:
            return draw.choice([*words, "".join(chr(draw.randrange(1, 0xD800)) for _ in range(5))])
        if kind == 5:
            return [value(depth + 1) for _ in range(draw.randrange(4))]
        return {draw.choice(words) + str(i): value(depth + 1) for i in range(draw.randrange(4))}

    for _ in range(200):
        data = {"top": value(0), "other": value(0)}
        # repr tells 1 from 1.0 and True, and 0.0 from -0.0.
        assert repr(parse_yaml(dump_yaml(data), "f").data) == repr(data)


def test_a_value_that_stands_in_two_places_is_written_out_twice() -> None:
    shared = [1, 2]
    assert parse_yaml(dump_yaml({"a": shared, "b": shared}), "f").data == {"a": [1, 2], "b": [1, 2]}


def test_numbers_that_are_not_finite_survive() -> None:
    read = parse_yaml(dump_yaml({"a": math.inf, "b": math.nan}), "f").data
    assert read["a"] == math.inf
    assert math.isnan(read["b"])


def test_a_built_in_name_goes_before_a_file_and_a_mistyped_one_lists_what_exists(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").touch()
    (tmp_path / "other.yaml").touch()
    assert find_yaml("demo", tmp_path, "space") == tmp_path / "demo.yaml"
    assert find_yaml("sub/mine.yml", tmp_path, "space") == Path("sub/mine.yml")
    with pytest.raises(SpaceError, match=r"(?s)dmo: must be.*Did you mean demo\? There are: demo, other\."):
        find_yaml("dmo", tmp_path, "space")
