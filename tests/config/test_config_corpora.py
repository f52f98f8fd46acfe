"""Mistakes that only `elt validate` sees, and unusual configs that are right, in which it finds nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import jsonschema
import pytest
from config_support import EXPECTATION

from elt_factory.config.errors import ConfigError
from elt_factory.config.yaml.source import read_yaml
from elt_factory.describe.findings import Finding, validate
from elt_factory.describe.schema import config_schema

HERE = Path(__file__).parent
SEEN = sorted((HERE / "seen_by_validate").glob("*.yaml"))
VALID = sorted((HERE / "valid").glob("*.yaml"))


def findings(file: Path, folder: Path) -> tuple[Finding, ...]:
    """What `elt validate` says of a file that is alone in a folder."""
    return validate([Path(shutil.copy(file, folder / "a.yaml"))], folder).findings


@pytest.mark.parametrize("file", SEEN, ids=lambda file: file.stem)
def test_what_loads_and_is_unwise_or_wrong_is_one_finding_at_its_place(file: Path, tmp_path: Path):
    expected = EXPECTATION.fullmatch(file.read_text(encoding="utf-8").splitlines()[0])
    assert expected, "the first line says what is expected"
    (found,) = findings(file, tmp_path)
    problem = found.problem
    assert (str(problem.position.line), str(problem.position.column)) == (expected["line"], expected["column"])
    assert problem.code == expected["code"]
    assert expected["message"] in problem.message
    assert expected["hint"] in problem.hint


def test_there_are_enough_unusual_configs():
    assert len(VALID) >= 60


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_an_unusual_config_that_is_right_has_no_finding(file: Path, tmp_path: Path):
    assert [found.problem.render() for found in findings(file, tmp_path)] == []


def test_no_editor_underlines_an_unusual_config_that_is_right():
    schema = jsonschema.Draft7Validator(config_schema())
    underlined = {file.stem: [e.message for e in schema.iter_errors(read_yaml(file).data)] for file in VALID}
    assert {name: told for name, told in underlined.items() if told} == {}


def test_the_schema_alone_underlines_most_mistakes():
    schema = jsonschema.Draft7Validator(config_schema())
    readable = [data for file in sorted((HERE / "defects").glob("*.yaml")) if (data := data_of(file)) is not None]
    underlined = [data for data in readable if not schema.is_valid(data)]
    assert len(underlined) >= 0.75 * len(readable)


def data_of(file: Path) -> object:
    """The data of a file; None where it is not YAML, which every editor sees by itself."""
    try:
        return read_yaml(file).data
    except ConfigError:
        return None
