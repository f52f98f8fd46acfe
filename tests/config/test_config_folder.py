"""Defaults, and what only shows when all configs of a folder are seen together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from config_support import SMALL, load_text, problems_of

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import Folder, config_files, load_folder


def folder_of(folder: Path, **files: str) -> Folder:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_folder(folder)


def waits_for(name: str, awaited: str) -> str:
    transform = f'name: {name}\ntransform: {{dbt: {{select: "tag:{name}"}}}}\n'
    return f"{transform}sensors:\n  before_transform:\n    - source: {awaited}\n"


def told(folder: Folder) -> dict[str, list[tuple[int, int, str, str]]]:
    return {
        file.stem: [(p.position.line, p.position.column, p.code, p.hint) for p in error.problems]
        for file, error in folder.errors.items()
    }


def test_defaults_are_merged_key_by_key(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("owner: us\nretries: {count: 7, delay: 5s}\ntags: [a, b]\n")
    config = load_text(tmp_path, SMALL + "retries: {delay: 9s}\ntags: [c]\n").config
    assert (config.owner, config.retries.count, config.retries.delay) == ("us", 7, timedelta(seconds=9))
    assert config.tags == ("c",)


def test_defaults_may_be_empty(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("# nothing yet\n")
    assert load_text(tmp_path, SMALL).config.owner == "airflow"


def test_defaults_above_the_folder_of_configs_do_not_count(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("owner: us\n")
    (tmp_path / "below").mkdir()
    assert load_text(tmp_path / "below", SMALL).config.owner == "airflow"


def test_a_default_is_switched_off_by_null(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text('deadline: {by: "06:00", timezone: UTC}\n')
    assert load_text(tmp_path, SMALL + "deadline: null\n").config.deadline is None
    deadline = load_text(tmp_path, SMALL + "deadline: {by: null, within: 2h}\n").config.deadline
    assert deadline
    assert (deadline.by, deadline.within) == (None, timedelta(hours=2))
    (problem,) = problems_of(tmp_path, SMALL + "deadline: {within: 2h}\n")
    assert problem.position.file.name == "a.yaml"
    assert "null" in problem.hint


@pytest.mark.parametrize(
    ("defaults", "line", "column", "code"),
    [
        ("owner: us\nretrys: {count: 1}\n", 2, 1, "unknown-key"),
        ("owner: us\nretries: {count: many}\n", 2, 18, "wrong-type"),
        ("owner: us\nretries:\n  delay: soon\n", 3, 10, "bad-value"),
        ("timezone: Mars/Olympus\n", 1, 11, "bad-value"),
        ("deadline: {}\n", 1, 1, "incomplete"),
        ("owner: [us\n", 1, 8, "yaml-syntax"),
        ("owner: us\nname: all\n", 2, 1, "not-a-default"),
        ("tables: {}\n", 1, 1, "not-a-default"),
        ("- owner: us\n", 1, 1, "wrong-type"),
    ],
)
def test_problems_of_defaults_point_into_the_defaults(tmp_path: Path, defaults: str, line: int, column: int, code: str):
    (tmp_path / "_defaults.yaml").write_text(defaults)
    (problem,) = problems_of(tmp_path, SMALL)
    assert problem.position.file == tmp_path / "_defaults.yaml"
    assert (problem.position.line, problem.position.column, problem.code) == (line, column, code)


def test_problems_of_both_files_are_told_together(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("onwer: us\n")
    problems = problems_of(tmp_path, SMALL + "retries: {count: -1}\n")
    assert [problem.position.file.name for problem in problems] == ["_defaults.yaml", "a.yaml"]


def test_all_problems_of_a_file_are_told_in_its_order(tmp_path: Path):
    text = (
        SMALL.replace("sql", "sql, fetch_row: 9").replace("owners: {}", "owners: {write_disposition: upsert}")
        + "catchup: maybe\n"
    )
    assert [problem.position.line for problem in problems_of(tmp_path, text)] == [2, 5, 6]


def test_which_files_are_configs(tmp_path: Path):
    for name in ("b.yaml", "a.yml", "_defaults.yaml", ".hidden.yaml", "notes.txt", "c.yaml.bak"):
        (tmp_path / name).write_text("")
    for name in ("below", "_drafts", ".git", "folder.yaml"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.yaml").write_text("")
    found = [str(file.relative_to(tmp_path)) for file in config_files(tmp_path)]
    assert found == ["a.yml", "b.yaml", "below/d.yaml", "folder.yaml/d.yaml"]


def test_a_folder_that_is_not_there_has_no_configs(tmp_path: Path):
    assert load_folder(tmp_path / "none") == Folder((), {})


@pytest.mark.parametrize(
    "broken",
    ["name: [broken\n", "", "- a\n", "name: broken\nextract: {type: ftp}\n", "\x00", "a: &a [*a]\n", "[" * 99_999],
)
def test_a_broken_file_costs_only_itself(tmp_path: Path, broken: str):
    folder = folder_of(tmp_path, fleet=SMALL, broken=broken, departures=waits_for("departures", "{name: fleet}"))
    assert [item.config.name for item in folder.configs] == ["departures", "fleet"]
    assert list(told(folder)) == ["broken"]


def test_a_name_that_is_taken(tmp_path: Path):
    folder = folder_of(tmp_path, a=SMALL, b=SMALL)
    assert [item.file.stem for item in folder.configs] == ["a"]
    assert told(folder) == {"b": [(1, 7, "duplicate-name", "choose another name")]}
    told_of = str(folder.errors[tmp_path / "b.yaml"])
    assert f'{tmp_path / "b.yaml"}:1:7: duplicate name "fleet": already defined in a.yaml:1:7' in told_of


def test_a_name_is_that_of_the_file_that_is_called_so_whatever_comes_before_it(tmp_path: Path):
    folder = folder_of(tmp_path, a=SMALL, fleet="# the fleet\n" + SMALL)
    assert [item.file.stem for item in folder.configs] == ["fleet"]
    assert "already defined in fleet.yaml:2:7" in str(folder.errors[tmp_path / "a.yaml"])


@pytest.mark.parametrize(
    ("awaited", "problems"),
    [
        ("{name: fleet}", []),
        ("{name: fleet, tables: [planes], business_date_within: 26h}", []),
        ("{name: fleets}", [(5, 22, "unknown-source", 'did you mean "fleet"?')]),
        ("{name: fleet, tables: [owners, plane]}", [(5, 46, "unknown-table", 'did you mean "planes"?')]),
        (
            "{name: fleet, business_date_within: 26h}",
            [(5, 51, "conflict", "name the tables that have one under tables:, or set business_date there")],
        ),
        ("{name: other}", [(5, 22, "unknown-source", "wait for the sources that it reads from")]),
    ],
)
def test_what_a_source_sensor_waits_for_is_there(
    tmp_path: Path, awaited: str, problems: list[tuple[int, int, str, str]]
):
    other = "name: other\ntransform: {dbt: {select: tag}}\n"
    folder = folder_of(tmp_path, fleet=SMALL, other=other, mine=waits_for("mine", awaited))
    assert told(folder) == ({"mine": problems} if problems else {})


@pytest.mark.parametrize(
    "broken", ["name: away\nextract: {type: ftp}\n", "extract: [\nname: 'away'  # far\n", '# away\nname: "away"\n\x00']
)
def test_waiting_for_a_source_whose_file_is_broken_is_no_second_error(tmp_path: Path, broken: str):
    folder = folder_of(tmp_path, other_file=broken, mine=waits_for("mine", "{name: away}"))
    assert list(told(folder)) == ["other_file"]


def test_a_source_that_waits_for_one_with_a_taken_name_is_right(tmp_path: Path):
    folder = folder_of(tmp_path, a=SMALL, b=SMALL, mine=waits_for("mine", "{name: fleet}"))
    assert list(told(folder)) == ["b"]


def test_an_error_names_every_file_once(tmp_path: Path):
    folder = folder_of(tmp_path, mine=waits_for("mine", "{name: a}") + "    - source: {name: b}\n")
    (error,) = folder.errors.values()
    assert isinstance(error, ConfigError)
    assert [(problem.position.line, problem.code) for problem in error.problems] == [
        (5, "unknown-source"),
        (6, "unknown-source"),
    ]


def test_a_misspelt_kind_hides_no_other_mistake(tmp_path: Path):
    text = "name: fleet\nretires: {count: 3}\nextract: {type: SQL, connection: a b}\ntables: {planes: {keys: [a]}}\n"
    folder = folder_of(tmp_path, fleet=text)
    problems = folder.errors[tmp_path / "fleet.yaml"].problems
    assert [(problem.position.line, problem.code) for problem in problems] == [
        (2, "unknown-key"),
        (3, "unknown-kind"),
        (3, "bad-name"),
        (4, "unknown-key"),
    ]


@pytest.mark.parametrize("name", ["fleet.YAML", "fleet.Yml"])
def test_a_wrong_ending_is_an_error_of_that_file_alone(tmp_path: Path, name: str):
    (tmp_path / name).write_text(SMALL)
    waiting = (
        "name: departures\ntransform: {dbt: {select: x}}\nsensors: {before_transform: [{source: {name: fleet}}]}\n"
    )
    (tmp_path / "departures.yaml").write_text(waiting)
    folder = load_folder(tmp_path)
    assert [item.config.name for item in folder.configs] == ["departures"]
    ((file, error),) = folder.errors.items()
    assert file == tmp_path / name
    (problem,) = error.problems
    assert (problem.code, problem.hint) == ("wrong-ending", f"rename the file to {name.lower()}")


def looks_up(relationship: str, column: str = "") -> str:
    """A source whose column `plane` must be in a column of another table."""
    return (
        "name: flights\nextract: {type: sql, connection: c}\ntables:\n  flights:\n    columns:\n"
        f"      plane: {{{column}checks: [{{relationships: {{{relationship}}}}}]}}\n"
    )


PLANES = (
    "name: fleet\nextract: {type: sql, connection: c}\ntables:\n  planes:\n    schema_contract: freeze\n"
    "    columns: {id: {type: text}, tail: {pii: hash}}\n"
)


@pytest.mark.parametrize(
    ("relationship", "column", "found"),
    [
        ("source: fleet, table: planes, column: id", "", None),
        ("source: fleet, table: planes, column: tail", "pii: hash, ", None),
        ("source: flet, table: planes, column: id", "", ("unknown-source", 'did you mean "fleet"?')),
        ("source: fleet, table: plane, column: id", "", ("unknown-table", 'did you mean "planes"?')),
        ("table: planes, column: id", "", ("unknown-table", "use one of: flights")),
        ("source: fleet, table: planes, column: ids", "", ("unknown-column", 'did you mean "id"?')),
        ("source: fleet, table: planes, column: tail", "", ("conflict", "write the same pii: for both")),
        ("source: fleet, table: planes, column: id", "pii: hash, ", ("conflict", "write the same pii: for both")),
    ],
)
def test_a_relationship_is_with_a_column_that_is_there_and_has_the_same_values(tmp_path, relationship, column, found):
    problems = told(folder_of(tmp_path, fleet=PLANES, flights=looks_up(relationship, column)))
    if found is None:
        assert problems == {}
        return
    ((line, _, code, hint),) = problems["flights"]
    assert (line, code) == (6, found[0])
    assert found[1] in hint
