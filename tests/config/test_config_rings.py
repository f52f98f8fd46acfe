"""Configs that wait for each other in a ring are found, and the ring is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from elt_factory.config.loading import Folder, load_folder


def source(name: str, *awaited: str, stage: str = "before_extract") -> str:
    text = f"name: {name}\nextract: {{type: sql, connection: db}}\ntables: {{t: {{}}}}\n"
    sensors = "".join(f"    - source: {{name: {other}}}\n" for other in awaited)
    return f"{text}sensors:\n  {stage}:\n{sensors}" if awaited else text


def folder_of(folder: Path, **waits: str) -> Folder:
    for name, awaited in waits.items():
        (folder / f"{name}.yaml").write_text(source(name, *awaited.split()))
    return load_folder(folder)


def told(folder: Folder) -> dict[str, list[str]]:
    return {
        file.stem: [
            f"{problem.position.line}:{problem.position.column} {problem.code} {problem.message.split(': ')[1]}"
            for problem in error.problems
        ]
        for file, error in folder.errors.items()
    }


def test_two_that_wait_for_each_other_are_drawn_with_both_places(tmp_path: Path):
    assert told(folder_of(tmp_path, a="b", b="a", c="a")) == {
        "a": ["6:22 cycle a -> b -> a (a.yaml:6, b.yaml:6)"],
        "b": ["6:22 cycle b -> a -> b (b.yaml:6, a.yaml:6)"],
    }


def test_a_long_ring_is_told_in_every_file_on_it_and_in_no_other(tmp_path: Path):
    found = told(folder_of(tmp_path, a="x b", b="c", c="d", d="a", x="", y="a"))
    assert sorted(found) == ["a", "b", "c", "d"]
    assert found["a"] == ["7:22 cycle a -> b -> c -> d -> a (a.yaml:7, b.yaml:6, c.yaml:6, d.yaml:6)"]


def test_the_shortest_ring_is_told(tmp_path: Path):
    found = told(folder_of(tmp_path, a="b", b="c a", c="a"))
    assert found["a"] == ["6:22 cycle a -> b -> a (a.yaml:6, b.yaml:7)"]
    assert found["b"] == [
        "6:22 cycle b -> c -> a -> b (b.yaml:6, c.yaml:6, a.yaml:6)",
        "7:22 cycle b -> a -> b (b.yaml:7, a.yaml:6)",
    ]


def test_a_way_between_two_rings_is_on_neither(tmp_path: Path):
    assert sorted(told(folder_of(tmp_path, a="b", b="a m", m="y", x="y", y="x"))) == ["a", "b", "x", "y"]


@pytest.mark.parametrize("waits", [{"a": "b c", "b": "d", "c": "d", "d": ""}, {"a": "", "b": "a a"}])
def test_ways_that_meet_are_no_ring(tmp_path: Path, waits: dict[str, str]):
    assert not folder_of(tmp_path, **waits).errors


def test_a_source_that_waits_for_itself_is_told_once(tmp_path: Path):
    (problem,) = folder_of(tmp_path, a="a").errors[tmp_path / "a.yaml"].problems
    assert problem.code == "conflict"


def test_a_long_chain_is_quick(tmp_path: Path):
    names = [f"n{number}" for number in range(300)]
    waits = dict(zip(names, [*names[1:], ""], strict=True))
    assert not folder_of(tmp_path, **waits).errors
