"""A file is brought to a newer version of the language, and keeps every comment and all layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from config_support import DAG_CONFIGS, SMALL, problems_of

from elt_factory.config.errors import ConfigError
from elt_factory.config.upgrade import STEPS, Step, plan_upgrade, steps_for
from elt_factory.config.versions import CURRENT
from elt_factory.config.yaml.edits import Document, Edit

OLD = """\
# é: what the fleet is   (kept)
version: 1  # kept

name:   fleet     # odd spaces, kept
extract: {type: sql, connection: fleet_db}   # kept
tables:
    planes: &planes     # an anchor
        key: [ tailnum ]  # the key
        mode: &mode "upsert"
    owners: {<<: *planes, mode: upsert}
    copies: *planes
"""
NEW = """\
# é: what the fleet is   (kept)
version: 2  # kept

name:   fleet     # odd spaces, kept
extract: {type: sql, connection: fleet_db}   # kept
tables:
    planes: &planes     # an anchor
        primary_key: [ tailnum ]  # the key
        mode: &mode merge
    owners: {<<: *planes, mode: merge}
    copies: *planes
"""


def to_two(document: Document) -> Iterator[Edit]:
    for path in document.paths("tables", "*", "key"):
        yield document.rename(path, "primary_key")
    for path in document.paths("tables", "*", "mode"):
        if document.value(path) == "upsert":
            yield document.replace(path, "merge")


def to_three(document: Document) -> Iterator[Edit]:
    for path in document.paths("tables", "*", "mode"):
        yield document.rename(path, "write_disposition")


TWO, THREE = Step(1, "key is primary_key, upsert is merge", to_two), Step(2, "mode is write_disposition", to_three)


def planned(folder: Path, text: str, *steps: Step) -> str | None:
    file = folder / "a.yaml"
    file.write_bytes(text.encode())
    return plan_upgrade(file, steps)


def test_a_step_changes_what_it_means_and_nothing_else(tmp_path: Path):
    assert planned(tmp_path, OLD, TWO) == NEW


def test_steps_follow_each_other(tmp_path: Path):
    expected = NEW.replace("version: 2", "version: 3").replace("mode: ", "write_disposition: ")
    assert planned(tmp_path, OLD, THREE, TWO) == expected


def test_a_file_goes_on_from_its_own_version(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(NEW)
    assert steps_for(tmp_path / "a.yaml", [TWO, THREE]) == [THREE]
    assert planned(tmp_path, NEW, TWO) is None


def test_a_file_without_a_version_is_in_the_first_and_gets_one(tmp_path: Path):
    text = OLD.replace("version: 1  # kept\n\n", "")
    new = planned(tmp_path, text, TWO)
    assert new
    assert new.startswith("# é: what the fleet is   (kept)\nversion: 2\nname:   fleet")


def test_windows_lines_stay_windows_lines(tmp_path: Path):
    new = planned(tmp_path, "# top\r\nname: a\r\ntables:\r\n  b: {key: [c]}  # end\r\n", TWO)
    assert new == "# top\r\nversion: 2\r\nname: a\r\ntables:\r\n  b: {primary_key: [c]}  # end\r\n"


def test_defaults_and_empty_files_are_upgraded_too(tmp_path: Path):
    assert planned(tmp_path, "owner: us  # kept\n", TWO) == "version: 2\nowner: us  # kept\n"
    assert planned(tmp_path, "# nothing\n", TWO) is None


def test_there_is_nothing_to_upgrade_today():
    assert len(STEPS) == CURRENT - 1
    assert [step.version for step in STEPS] == list(range(1, CURRENT))
    assert [plan_upgrade(file) for file in sorted(DAG_CONFIGS.glob("*.yaml"))] == [None] * 5


def test_edits_that_overlap_are_refused(tmp_path: Path):
    document = Document(tmp_path / "a.yaml", "a: {b: 1}\n")
    with pytest.raises(ValueError, match="same text"):
        document.edited([document.replace(("a",), "2"), document.replace(("a", "b"), "3")])


@pytest.mark.parametrize("version", ["soon", "0", "1.5", "true", "null", "[1]"])
def test_a_version_that_is_no_number_has_a_place(tmp_path: Path, version: str):
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, f"name: a\nversion: {version}\n", TWO)
    assert (caught.value.problems[0].position.line, caught.value.problems[0].position.column) == (2, 10)


def test_a_config_in_braces_is_told_and_not_broken(tmp_path: Path):
    with pytest.raises(ConfigError, match="its own line"):
        planned(tmp_path, "{name: a, tables: {b: {key: [c]}}}\n", TWO)


def test_a_newer_version_is_the_only_problem(tmp_path: Path):
    (problem,) = problems_of(tmp_path, f"{SMALL}version: 2\nfrom_the_future: true\n")
    assert (problem.position.line, problem.position.column, problem.code) == (6, 10, "unknown-value")
    assert "upgrade elt-factory" in problem.hint
