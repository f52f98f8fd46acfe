"""The generated files of the language: the schema, the reference, the list of codes."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
from cli_support import ROOT
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from elt_factory.cli.packaging import requirements
from elt_factory.cli.reference import GENERATED, PARTS, drifted, main, write_all
from elt_factory.config.loading import load_config
from elt_factory.config.models.source import SOURCES, TransformOnly
from elt_factory.config.yaml.source import read_yaml
from elt_factory.describe.codes import ERRORS, LIVE, WARNINGS, codes_document, raised_codes
from elt_factory.describe.reference import all_models, own_fields, reference
from elt_factory.describe.schema import config_schema
from elt_factory.describe.words import in_yaml

FIELDS = [
    pytest.param(field, id=f"{model.__name__}.{name}")
    for model in all_models()
    for name, field in own_fields(model).items()
    if not (name == "type" and field.is_required())
]


def read(folder: Path, text: str) -> Any:
    file = folder / "example.yaml"
    file.write_text(text, encoding="utf-8")
    return read_yaml(file).data


@cache
def schema() -> jsonschema.Draft7Validator:
    made = config_schema()
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_a_description_and_examples_that_load(field: FieldInfo, tmp_path: Path):
    assert field.description
    assert field.examples
    adapter = TypeAdapter(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)
    for example in field.examples:
        assert read(tmp_path, in_yaml(example)) == example
        adapter.validate_python(read(tmp_path, in_yaml(example)))


def test_every_field_of_every_model_stands_in_the_reference():
    text = reference()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    # a whole config has a section of another kind
    whole = {TransformOnly, *(kind.config for kind in SOURCES.all())}
    for model in set(all_models()) - whole:
        for name, field in own_fields(model).items():
            row = f"| `{name}` |"
            assert row in sections[model.__name__] or (name == "type" and field.is_required()), f"{model}.{name}"


def test_every_link_of_the_reference_leads_to_a_section():
    text = reference()
    targets = {heading.lower() for heading in re.findall(r"^##+ (\w+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= targets


@pytest.mark.parametrize("file", sorted((ROOT / "dag_configs").glob("[!_]*.yaml")), ids=lambda file: file.stem)
def test_the_configs_fit_the_schema_that_they_name(file: Path):
    assert file.read_text().startswith("# yaml-language-server: $schema=source.schema.json\n")
    load_config(file)
    assert not list(schema().iter_errors(read_yaml(file).data))


@pytest.mark.parametrize(
    "text",
    [
        "extract: {type: sql, connection: a}\ntables: {t: {}}",
        "name: a\nextract: {type: sql, connection: a}",
        "name: a\nextract: {type: sqll, connection: a}\ntables: {t: {}}",
        "name: a\nextract: {type: sql, connection: a}\ntables: {t: {path: x}}",
        "name: a\nextract: {type: rest_api, connection: a}\ntables: {t: {}}",
        "name: a\nextract: {type: files, paginator: {}}\ntables: {t: {path: x}}",
        "name: a\ntables: {t: {path: x}}",
        "name: a",
        "name: a\ntransform: {dbt: {select: x}}\nshedule: x",
        "name: a\ndeadline: {within: soon}\ntransform: {dbt: {select: x}}",
        "name: a\nextract: {type: sql, connection: a}\ntables: {t: {columns: {c: {type: varchar}}}}",
        "name: a\nextract: {type: sql, connection: a}\ntables: {T: {}}",
    ],
)
def test_the_schema_underlines_mistakes(text: str, tmp_path: Path):
    assert not schema().is_valid(read(tmp_path, text))


def test_the_schema_takes_what_is_right_in_every_kind(tmp_path: Path):
    for text in (
        "name: a\nextract: {type: sql, connection: a, schema: s}\ntables: {t: {columns: {c: {type: 'decimal(18,2)'}}}}",
        "name: a\nextract: {type: rest_api, connection: a}\ntables: {t: {path: /x, params: {n: 1}}}",
        "name: a\nextract: {type: files}\ntables: {t: {path: x, format: {type: ndjson}}}",
        "name: a\ndeadline: {by: 06:00}\nstart_date: 2024-01-01\ntransform: {dbt: {select: x}}",
    ):
        assert not list(schema().iter_errors(read(tmp_path, text)))


def test_the_schema_takes_a_variable_wherever_a_value_is_held_to_something():
    # editors see the file before variables have their values
    retries = {"count": "${TRIES:-3}", "delay": "${WAIT}"}
    config = {"name": "a", "retries": retries, "catchup": "${ALL}", "transform": {"dbt": {"select": "x"}}}
    assert not list(schema().iter_errors(config))
    assert not schema().is_valid({**config, "catchup": "$ALL"})


def test_every_code_that_is_raised_is_explained():
    assert raised_codes() <= ERRORS.keys()


def test_every_code_that_is_explained_stands_in_the_list():
    document = codes_document()
    for code in (*ERRORS, *LIVE, *WARNINGS):
        assert f"| `{code}` |" in document


def test_the_check_fails_on_drift_and_writing_fixes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    for folder in ("dag_configs", "docs/guides", "docs/reference"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "docs" / "guides" / "install.md").write_text(
        "# Install\n<!-- extras -->\n<!-- end of extras -->\n<!-- settings -->\nold\n<!-- end of settings -->\nMore.\n"
    )
    for name, parts in PARTS.items():
        if name != "install.md":
            marks = (f"<!-- {part} -->\n<!-- end of {part} -->\n" for part in parts)
            (tmp_path / "docs" / "guides" / name).write_text("".join(marks))
    assert write_all(tmp_path) == list(GENERATED)
    assert "AIRFLOW__CORE__EXECUTOR=CeleryExecutor" in (tmp_path / "docs" / "guides" / "workers.md").read_text()
    assert main(["--check"]) == 0
    assert "old" not in (tmp_path / "docs" / "guides" / "install.md").read_text()
    (tmp_path / "docs" / "reference" / "yaml.md").write_text("something else")
    assert drifted(tmp_path) == ["docs/reference/yaml.md"]
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_a_page_that_lost_the_marks_of_a_generated_part_is_an_error(tmp_path: Path):
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "docs" / "guides" / "install.md").write_text("<!-- extras -->\n")
    with pytest.raises(ValueError, match="needs a part between <!-- extras --> and"):
        drifted(tmp_path)


def test_astro_installs_what_the_package_and_the_demo_need_but_airflow(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["apache-airflow>=3", "apache-airflow-providers-http", "duckdb>=2"]\n'
        "[project.optional-dependencies]\n"
        'dbt-snowflake = ["elt-factory[dbt,snowflake]", "dbt-snowflake"]\n'
        'dbt = ["dbt-core<2"]\nsnowflake = ["provider"]\n'
        'demo = ["fastapi"]\ngit = ["git-provider"]\npictures = ["resvg-py"]\npostgres = ["psycopg"]\nmysql = ["no"]\n'
    )
    lines = [line for line in requirements(tmp_path).splitlines() if not line.startswith("#")]
    assert lines == [
        "apache-airflow-providers-http",
        "dbt-core<2",
        "dbt-snowflake",
        "duckdb>=2",
        "fastapi",
        "git-provider",
        "provider",
        "psycopg",
        "resvg-py",
    ]
