"""`elt init`: a project that validates and runs as it is written, and what an existing project gets."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from astro_layout import SETTINGS, astro_project
from elt_factory.cli.celery_settings import CELERY_ADDRESSES, CELERY_SETTINGS
from elt_factory.cli.init import project_files, write_project
from elt_factory.cli.local import AIRFLOW_SETTINGS
from elt_factory.cli.main import app
from elt_factory.config.loading import load_folder
from elt_process import elt_commands

ROOT = Path(__file__).parents[2]


def init(*arguments: str):
    return CliRunner().invoke(app, ["init", *arguments])


def test_a_new_project_has_configs_that_are_valid_and_says_what_comes_next(tmp_path: Path):
    result = init(str(tmp_path / "shop"))
    assert result.exit_code == 0, result.output
    assert "elt run orders" in result.output
    found = load_folder(tmp_path / "shop" / "dag_configs")
    assert [item.config.name for item in found.configs] == ["orders"]
    assert not found.errors
    assert (tmp_path / "shop" / "README.md").read_text().startswith("# shop\n")
    assert {".gitignore", ".env.example", "Makefile", "Dockerfile"} <= {
        file.name for file in (tmp_path / "shop").iterdir()
    }


@pytest.mark.live
def test_the_example_of_a_new_project_runs(tmp_path: Path):
    write_project(tmp_path, existing=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "ELT_"))}
    environment = {**kept, "ELT_PROJECT": str(tmp_path), "PYTHONPATH": str(ROOT / "include")}
    with elt_commands(environment, tmp_path) as elt:
        for command, expected in (
            (["run", "orders"], "3 rows loaded, 3 in the table"),
            (
                ["sql", "select count(distinct customer_email) as people, sum(amount) as total from orders.orders"],
                "215.75",
            ),
        ):
            done = elt(*command)
            assert expected in done.stdout, done.stdout + done.stderr


def test_a_folder_with_files_is_left_alone_without_into(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    result = init(str(tmp_path))
    assert result.exit_code == 1
    assert "use --into" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_an_existing_project_keeps_its_files_and_its_lists_get_the_lines_they_lack(tmp_path: Path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM mine\n")
    (tmp_path / "requirements.txt").write_text("pandas==2.3\nelt-factory[mysql]==0.1")
    (tmp_path / ".gitignore").write_text(".env\n__pycache__/\n")
    result = init("--into", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "kept Dockerfile" in result.output
    assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"
    assert (tmp_path / "requirements.txt").read_text() == "pandas==2.3\nelt-factory[mysql]==0.1"
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert ignored.count(".env") == 1
    assert "data/" in ignored
    assert not (tmp_path / "README.md").exists()
    assert not (tmp_path / "dag_configs" / "orders.yaml").exists()
    assert (tmp_path / "dags" / "sources.py").exists()
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert init("--into", str(tmp_path)).exit_code == 0
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


def test_what_astro_leaves_to_be_filled_is_filled(tmp_path: Path):
    astro_project(tmp_path)
    written = write_project(tmp_path, existing=True)
    assert {".env", ".gitignore", "Dockerfile", "airflow_settings.yaml", "requirements.txt"} == set(written.extended)
    dockerfile = (tmp_path / "Dockerfile").read_text()
    assert dockerfile == project_files("x")["Dockerfile"]
    assert dockerfile.count("FROM") == 1
    assert (tmp_path / ".env").read_text() == project_files("x")[".env"]
    assert (tmp_path / "airflow_settings.yaml").read_text() == project_files("x")["airflow_settings.yaml"]
    assert "dag_configs:rw" in (tmp_path / "docker-compose.override.yml").read_text()
    assert write_project(tmp_path, existing=True).extended == ()


def test_what_an_astro_project_says_itself_stays(tmp_path: Path):
    astro_project(tmp_path)
    own = {
        "Dockerfile": "FROM astrocrpublic.azurecr.io/runtime:3.2-1\nRUN true\n",
        "airflow_settings.yaml": SETTINGS.replace("conn_id:", "conn_id: mine"),
        ".env": "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL=5\nSECRET=x\n",
    }
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    write_project(tmp_path, existing=True)
    assert (tmp_path / "Dockerfile").read_text() == own["Dockerfile"]
    assert (tmp_path / "airflow_settings.yaml").read_text() == own["airflow_settings.yaml"]
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[:2] == own[".env"].splitlines()
    assert [line for line in lines if line.startswith("AIRFLOW__CORE__MIN_SERIALIZED_DAG")] == lines[:1]


def test_a_new_project_has_no_env_file(tmp_path: Path):
    write_project(tmp_path, existing=False)
    assert not (tmp_path / ".env").exists()


def test_requirements_that_lack_the_package_get_it_on_a_line_of_its_own(tmp_path: Path):
    (tmp_path / "requirements.txt").write_text("pandas==2.3")
    write_project(tmp_path, existing=True)
    assert (tmp_path / "requirements.txt").read_text().splitlines()[0] == "pandas==2.3"
    assert (tmp_path / "requirements.txt").read_text().splitlines()[1].startswith("elt-factory")


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "elt-factory[dbt]>=0.1.0"),
        (
            '{"url": "file:///wheels/elt_factory-0.1.0-py3-none-any.whl"}',
            "elt-factory[dbt] @ file:///wheels/elt_factory-0.1.0-py3-none-any.whl",
        ),
    ],
)
def test_a_project_requires_the_package_from_where_this_one_came(monkeypatch, origin, requirement):
    installed = SimpleNamespace(version="0.1.0", read_text=lambda name: origin if name == "direct_url.json" else None)
    monkeypatch.setattr("elt_factory.cli.init.metadata.distribution", lambda name: installed)
    assert project_files("x")["requirements.txt"] == f"{requirement}\n"


@pytest.mark.parametrize("name", ["generate_schema_name.sql", "query_tag.sql"])
def test_the_macros_that_the_dags_rely_on_are_the_ones_of_this_project(name: str):
    assert project_files("x")[f"include/dbt/macros/{name}"] == (ROOT / "include" / "dbt" / "macros" / name).read_text()


@pytest.mark.parametrize("file", [".env.example", "Dockerfile"])
def test_the_settings_are_the_same_wherever_they_are_written(file: str):
    for project in (project_files("x")[file], (ROOT / file).read_text()):
        for name, value in AIRFLOW_SETTINGS.items():
            if "PERMISSIONS" not in name:
                assert f"{name}={value}" in project.replace("'", "")


def test_a_new_project_lists_what_celery_workers_need_next_to_them():
    text = project_files("x")[".env.example"]
    for name, value in {**CELERY_ADDRESSES, **CELERY_SETTINGS}.items():
        assert f"# {name}={value}\n" in text


def test_the_version_is_that_of_the_package():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, "elt 0.1.0\n")
