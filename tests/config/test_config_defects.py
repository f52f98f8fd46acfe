"""One planted mistake a file: one problem, at its exact place, that says how to fix it."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_support import DEFECTS, EXPECTATION

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import load_config

FILES = sorted(DEFECTS.glob("*.yaml"))


def test_there_are_enough_planted_mistakes():
    assert len(FILES) >= 380


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mistake_is_one_problem_at_its_place(file: Path):
    first, *_ = file.read_text(encoding="utf-8").splitlines()
    expected = EXPECTATION.fullmatch(first)
    assert expected, "the first line says what is expected"
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    (problem,) = caught.value.problems
    assert problem.position.file == file
    assert f"{problem.position.line}:{problem.position.column}" == f"{expected['line']}:{expected['column']}"
    assert problem.code == expected["code"]
    assert expected["message"] in problem.message
    assert expected["hint"] in problem.hint


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mistake_is_told_in_our_words(file: Path):
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    (problem,) = caught.value.problems
    assert problem.hint, "every mistake has a hint"
    for word in ("Input should", "pydantic", "validation", "Traceback", "function-", "[key]", "dict", "tuple", "\n"):
        assert word not in problem.message
    assert not problem.message.endswith(".")
    assert len(problem.message) < 160


def test_a_problem_shows_the_line_and_the_hint():
    with pytest.raises(ConfigError) as caught:
        load_config(DEFECTS / "value_write_disposition.yaml")
    text = str(caught.value)
    place = f"{DEFECTS / 'value_write_disposition.yaml'}:10:24"
    assert text.splitlines() == [
        f'{place}: tables.planes.write_disposition: unknown value "upsert" [unknown-value]',
        "  |     write_disposition: upsert",
        "  |                        ^",
        '  hint: did you mean "merge"?',
    ]


def test_a_password_in_a_config_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        load_config(DEFECTS / "name_of_connection.yaml")
    assert "secret@" not in str(caught.value)
    assert "postgresql://" in str(caught.value)


def test_a_secret_in_a_config_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        load_config(DEFECTS / "secret_in_header.yaml")
    assert "abc123" not in str(caught.value)
