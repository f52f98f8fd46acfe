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


ASSETS = """name: {name}
transform: {{dbt: {{select: "tag:x"}}}}
schedule: {{assets: [{assets}]}}
"""
FLEET = """name: {name}
schedule: "{schedule}"
extract: {{type: sql, connection: db}}
tables: {{planes: {{}}}}
"""


def by_assets(folder: Path, assets: str, **others: str) -> Folder:
    (folder / "mine.yaml").write_text(ASSETS.format(name="mine", assets=assets))
    for name, text in others.items():
        (folder / f"{name}.yaml").write_text(text.format(name=name, schedule="0 3 * * *"))
    return load_folder(folder)


@pytest.mark.parametrize(
    ("assets", "problem"),
    [
        ("fleets", '3:21 unknown-source unknown source "fleets"'),
        ("fleet, fleet.plane", '3:28 unknown-table "fleet" has no table "plane"'),
        ("fleet, other", '3:28 unknown-source "other" loads no tables, so there is nothing to wait for'),
    ],
)
def test_an_asset_that_is_not_there_is_told_at_its_place(tmp_path: Path, assets: str, problem: str):
    other = 'name: {name}\ntransform: {{dbt: {{select: "tag:{schedule}"}}}}\n'
    folder = by_assets(tmp_path, assets, fleet=FLEET, other=other)
    (error,) = folder.errors.values()
    (found,) = error.problems
    message = found.message.removeprefix(found.message.partition(": ")[0] + ": ")
    assert f"{found.position.line}:{found.position.column} {found.code}" in problem
    assert problem.endswith((found.message, message))
    assert found.code != "unknown-source" or "fleet" in found.hint or "sources that it reads" in found.hint


def test_configs_that_start_each_other_are_a_ring(tmp_path: Path):
    ring = "name: {name}\nextract: {{type: sql, connection: db}}\ntables: {{t: {{}}}}\nschedule: {{assets: [mine]}}\n"
    mine = ring.replace("[mine]", "[fleet]")
    (tmp_path / "mine.yaml").write_text(mine.format(name="mine"))
    (tmp_path / "fleet.yaml").write_text(ring.format(name="fleet"))
    problems = [problem for error in load_folder(tmp_path).errors.values() for problem in error.problems]
    assert {problem.message for problem in problems} == {
        "cycle: mine -> fleet -> mine (mine.yaml:4, fleet.yaml:4)",
        "cycle: fleet -> mine -> fleet (fleet.yaml:4, mine.yaml:4)",
    }
    assert {(problem.position.column, problem.hint) for problem in problems} == {
        (21, "remove one of these sensors or assets")
    }


def test_sources_that_never_load_one_window_cannot_start_one_run(tmp_path: Path):
    same = by_assets(tmp_path, "fleet, weather", fleet=FLEET, weather=FLEET)
    assert not same.errors
    # windows of other times are put together
    assert not by_assets(
        tmp_path, "fleet, weather", fleet=FLEET, weather=FLEET.replace("{schedule}", "0 * * * *")
    ).errors
    by_hand = FLEET.replace('schedule: "{schedule}"\n', "")
    (error,) = by_assets(tmp_path, "fleet, weather", fleet=FLEET, weather=by_hand).errors.values()
    (problem,) = error.problems
    assert (problem.position.line, problem.position.column, problem.code) == (3, 28, "conflict")
    assert '"weather" runs without a schedule and "fleet" 0 3 * * * UTC: they never load one window' in problem.message


REMOTE = """name: remote
extract: {type: remote_job, connection: airbyte_api, job: {airbyte: {connection_id: abc}}}
tables:
  orders:
    relation: raw.orders
    columns:
      id:
        checks:
          - not_null: true
            severity: quarantine
"""


def test_rows_that_another_system_loads_cannot_be_set_aside(tmp_path: Path):
    (tmp_path / "remote.yaml").write_text(REMOTE)
    (error,) = load_folder(tmp_path).errors.values()
    (problem,) = error.problems
    assert (problem.position.line, problem.position.column, problem.code) == (10, 23, "conflict")
    assert "another system loads orders" in problem.message
