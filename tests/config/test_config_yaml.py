"""YAML as it is read: YAML 1.2 scalars, anchors, merges, positions, and text that would harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_support import is_inside

from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.yaml.source import YamlSource, read_yaml


def read(folder: Path, text: str) -> YamlSource:
    file = folder / "a.yaml"
    file.write_bytes(text.encode())
    return read_yaml(file)


def refused(folder: Path, text: str | bytes) -> Problem:
    file = folder / "a.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert all(is_inside(problem) for problem in caught.value.problems)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("NO", "NO"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("1_000", "1_000"),
        ("1000", 1000),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("012", "012"),
        ("0o14", "0o14"),
        ("0x1F", "0x1F"),
        ("12:30", "12:30"),
        ("12:30:45", "12:30:45"),
        ("2013-01-01", "2013-01-01"),
        ("2013-01-01T00:00:00Z", "2013-01-01T00:00:00Z"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("5٣", "5٣"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'5'", "5"),
        ('"true"', "true"),
        ("|-\n  5", "5"),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("! 5", 5),
        ("=", "="),
        ("20%", "20%"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, written: str, meant: Any):
    data = read(tmp_path, f"a: {written}\n").data
    assert data == {"a": meant}
    assert type(data["a"]) is type(meant)


def test_keys_are_the_text_that_is_written(tmp_path: Path):
    data = read(tmp_path, "on: 1\nno: 2\n012: 3\nnull: 4\n2013-01-01: 5\n'<<': 6\n").data
    assert list(data) == ["on", "no", "012", "null", "2013-01-01", "<<"]


def test_anchors(tmp_path: Path):
    source = read(tmp_path, "a: &a {x: 1, y: [2]}\nb: *a\n")
    assert source.data == {"a": {"x": 1, "y": [2]}, "b": {"x": 1, "y": [2]}}
    assert str(source.at_key(("b", "x"))).endswith(":1:8")


def test_merges(tmp_path: Path):
    source = read(
        tmp_path,
        "base: &base {x: 1, y: 1}\nmore: &more\n  y: 2\n  z: 2\nall:\n  <<: [*base, *more]\n  x: 3\n",
    )
    assert source.data["all"] == {"x": 3, "y": 1, "z": 2}
    assert str(source.at_key(("all", "z"))).endswith(":4:3")
    assert str(source.at(("all", "x"))).endswith(":7:6")


def test_merges_of_merges(tmp_path: Path):
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}\n"
    assert read(tmp_path, text).data["c"] == {"x": 1, "y": 2, "z": 3}


def test_every_place_is_known(tmp_path: Path):
    source = read(tmp_path, "a:\n  b:\n    - c: 1\n    - d\n")
    assert str(source.at_key(("a", "b"))).endswith(":2:3")
    assert str(source.at(("a", "b", 0, "c"))).endswith(":3:10")
    assert str(source.at(("a", "b", 1))).endswith(":4:7")
    assert str(source.at(("a", "b", 0, "missing"))).endswith(":3:7")
    assert str(source.at(("a", "b", 7, "missing"))).endswith(":2:3")
    assert str(source.at(("missing",))).endswith(":1:1")


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path):
    source = read(tmp_path, "\ufeffa: 1\r\nb:\r\n  c: é\r\n")
    assert source.data == {"a": 1, "b": {"c": "é"}}
    assert str(source.at(("b", "c"))).endswith(":3:6")


def test_every_problem_of_the_yaml_is_told(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\na: 2\nb: !x 3\n? [c]\n: 4\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert [(p.code, p.position.line) for p in caught.value.problems] == [
        ("duplicate-key", 2),
        ("yaml-tag", 3),
        ("yaml-key", 4),
    ]


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read the file: No such file"):
        read_yaml(tmp_path / "none.yaml")


def test_a_folder_in_place_of_a_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read the file"):
        read_yaml(tmp_path)


def test_text_that_is_not_utf_8(tmp_path: Path):
    problem = refused(tmp_path, "name: a\nowner: Jürgen\n".encode("latin-1"))
    assert (problem.position.line, problem.position.column) == (2, 9)
    assert problem.hint == "save the file as UTF-8"


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ufeff", "\ufffe", "\ud7ff\x80"])
def test_characters_that_yaml_does_not_have(tmp_path: Path, character: str):
    problem = refused(tmp_path, f"name: a\nowner: é{character}\n")
    assert problem.position.line == 2
    assert problem.position.column == 9 + len(character) - 1
    assert "U+" in problem.message


@pytest.mark.parametrize("opener", ["[", "{a: ", "- ", "? ", "[{a: ", "&a [", "- ? "])
@pytest.mark.parametrize("levels", [60, 1_200, 100_000])
def test_nesting_without_end_does_not_crash(tmp_path: Path, opener: str, levels: int):
    assert refused(tmp_path, opener * levels).code in ("too-deep", "yaml-syntax", "yaml-key")


def test_blocks_in_blocks_without_end_do_not_crash(tmp_path: Path):
    text = "".join(f"{' ' * level}a:\n" for level in range(1_500))
    assert refused(tmp_path, text).code == "too-deep"


def test_chains_of_aliases_do_not_crash(tmp_path: Path):
    text = "k0: &k0 [x]\n" + "".join(f"k{n}: &k{n} [*k{n - 1}]\n" for n in range(1, 900))
    assert refused(tmp_path, text).code == "too-deep"


def test_chains_of_merges_do_not_crash(tmp_path: Path):
    text = "k0: &k0 {x: 1}\n" + "".join(f"k{n}: &k{n} {{<<: *k{n - 1}}}\n" for n in range(1, 5_000))
    assert read(tmp_path, text).data["k4999"] == {"x": 1}


def test_aliases_that_unfold_to_billions_are_refused(tmp_path: Path):
    text = "k0: &k0 [x, x]\n" + "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert refused(tmp_path, text).code == "too-large"


def test_merges_that_unfold_to_billions_are_quick(tmp_path: Path):
    text = "k0: &k0 {x: 1}\n" + "".join(f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}]}}\n" for n in range(1, 40))
    assert read(tmp_path, text).data["k39"] == {"x": 1}


def test_a_file_beyond_all_measure_is_refused(tmp_path: Path):
    assert refused(tmp_path, "a: 1\n" + "# more\n" * 400_000).code == "too-large"


@pytest.mark.parametrize("number", ["9" * 39, "-" + "9" * 5_000, "1e999", "-1e400", "9" * 400 + ".5"])
def test_numbers_beyond_all_measure_are_refused(tmp_path: Path, number: str):
    assert "too large" in refused(tmp_path, f"a: {number}\n").message
