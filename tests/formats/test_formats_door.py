"""Formats of other packages come in by the same door as ours: one that is broken costs the config that names it."""

from __future__ import annotations

import sys

import pytest

from elt_factory.config.loading import load_folder
from elt_factory.config.models.formats import FORMATS
from elt_factory.core import kinds
from elt_factory.describe.schema import config_schema

pytestmark = pytest.mark.unit

LINES = '''
from pydantic import Field
from typing import Literal
from elt_factory.config.models.formats import FileFormat
from elt_factory.extract.request import Spool
from elt_factory.formats.kind import FormatKind

class Lines(FileFormat):
    """A record a line."""
    type: Literal["lines"]
    column: str = Field("line", description="Name of the column.", examples=["text"])

KIND = FormatKind(name="lines", model=Lines, spooled=lambda form, files, workdir: Spool("ndjson", ()))
'''
CONFIG = """\
name: {name}
start_date: 2013-01-01
extract: {{type: files, folder: in}}
tables:
  lines:
    path: "*.txt"
    format: {form}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package that has a module and says where its format is."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def install(module):
        info = site / "acme_lines-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "acme_lines.py").write_text(module)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-lines\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[elt_factory.formats]\nlines = acme_lines:KIND\n")
        forget()

    def forget():
        kinds._installed.cache_clear()
        FORMATS._found.pop("lines", None)

    yield install
    monkeypatch.undo()
    sys.modules.pop("acme_lines", None)
    forget()


@pytest.fixture
def configs(tmp_path):
    """Read configs of one format each: what is wrong with them by name, and those that are right."""
    folder = tmp_path / "dag_configs"
    folder.mkdir()

    def read(**forms):
        for name, form in forms.items():
            (folder / f"{name}.yaml").write_text(CONFIG.format(name=name, form=form))
        found = load_folder(folder)
        return {file.stem: error.problems for file, error in found.errors.items()}, found.configs

    return read


def test_a_format_of_another_package_is_a_type_like_ours(package, configs):
    package(LINES)
    errors, (loaded,) = configs(a="{type: lines, column: text}")
    assert not errors
    form = loaded.config.tables["lines"].format
    assert (form.type, form.column) == ("lines", "text")
    assert loaded.config.model_dump(mode="json")["tables"]["lines"]["format"] == {"type": "lines", "column": "text"}


def test_it_is_in_the_schema_without_a_word_elsewhere(package):
    package(LINES)
    choice = config_schema()["definitions"]["FilesTable"]["properties"]["format"]["oneOf"]
    assert choice[-1] == {"$ref": "#/definitions/Lines"}


@pytest.mark.parametrize(
    ("form", "place", "message", "hint"),
    [
        ("{type: lines, colum: text}", (7, 27), 'unknown key "colum"', 'did you mean "column"?'),
        ("{type: lines, column: 5}", (7, 35), "expected text, got 5", 'put it in quotes: "5"'),
        ("{type: line}", (7, 20), 'unknown format type "line"', 'did you mean "lines"?'),
        ("{column: a}", (7, 5), 'missing key "type"', "add type: with one of csv, ndjson, json"),
        ("lines", (7, 13), "expected a mapping", "write {type: lines}"),
        ("{type: [lines]}", (7, 20), "expected text", ""),
    ],
)
def test_a_mistake_in_it_has_its_place_and_a_hint(package, configs, form, place, message, hint):
    package(LINES)
    errors, _ = configs(a=form)
    (problem,) = errors["a"]
    assert message in problem.message
    assert hint in problem.hint
    assert (problem.position.line, problem.position.column) == place


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        ("KIND = 1", "is not a FormatKind"),
        (LINES.replace('name="lines"', 'name="line"'), "must be Literal"),
        (LINES.replace(', examples=["text"]', ""), "Lines.column needs a description and an example"),
        (
            LINES.replace('Field("line", ', "Field(").replace("spooled=", 'endings=(".txt",), spooled='),
            "nothing finds out its column",
        ),
    ],
)
def test_a_format_that_is_half_there_is_an_error_of_the_config_that_names_it_alone(package, configs, module, cause):
    package(module)
    errors, good = configs(a="{type: lines}", b="{type: csv}")
    (problem,) = errors["a"]
    assert (problem.code, problem.position.line) == ("broken-kind", 7)
    assert cause in problem.message
    assert [item.config.name for item in good] == ["b"]


def test_a_format_that_no_config_names_is_not_imported(package, configs):
    package("raise SystemError('imported')")
    errors, good = configs(b="{type: ndjson}")
    assert not errors
    assert len(good) == 1
    assert "acme_lines" not in sys.modules
