"""`elt new` against the demo's three systems: what it writes validates, runs unedited and loads the right counts."""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cli_support import Project

from elt_factory.config.loading import load_config

WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}


@pytest.fixture
def written(line, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The demo's connections, and a project whose only configs are those that the test has written."""
    line.environment["ELT_PROJECT"] = str(project.root)
    project.write("_defaults", "owner: data-platform\ntimezone: America/New_York\nstart_date: 2013-01-01\n")
    with line.using():
        yield project


def new(project: Project, *arguments: str) -> str:
    result = project.elt("new", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    load_config(project.configs / f"{arguments[0]}.yaml", project.configs)
    return result.output


def counts(line, schema: str, *tables: str) -> list[object]:
    return [line.one(f"select count(*) from {schema}.{table}") for table in tables]


def test_the_flights_api_is_written_with_its_window_and_loads_its_week(line, written):
    new(written, "air", "--connection", "flights_api", "--path", "/v1/flights")
    config = load_config(written.configs / "air.yaml", written.configs).config
    assert config.tables["flights"].takes_window
    assert config.tables["flights"].primary_key == ("flight_id",)
    assert config.extract.paginator.type == "cursor"
    assert config.extract.auth.header == "X-API-Key"
    assert line.run("air", **WEEK).state == "success"
    assert counts(line, "air", "flights") == [6099]


def test_the_weather_folder_is_written_with_its_period_and_loads_january(line, written):
    new(written, "sky", "--connection", "weather_files")
    table = load_config(written.configs / "sky.yaml", written.configs).config.tables["weather"]
    assert table.path == "weather_%Y-%m.csv"
    assert "NA" in table.format.null_values
    assert line.run("sky", **WEEK).state == "success"
    assert counts(line, "sky", "weather") == [2226]


def test_all_tables_of_the_fleet_are_written_at_once_and_load(line, written):
    new(written, "craft", "--connection", "fleet_db")
    assert line.run("craft", **WEEK).state == "success"
    assert counts(line, "craft", "planes", "airlines", "airports") == [3322, 16, 1458]


@pytest.fixture
def fleet_schema() -> Iterator[str]:
    server = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "dbname": "test"}
    try:
        database = psycopg.connect(**server, connect_timeout=3, autocommit=True)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL to test with: {error}")
    schema = f"new_{uuid.uuid4().hex[:10]}"
    with database:
        yield schema
        database.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def test_a_schema_of_postgresql_is_written_at_once_and_loads(line, written, fleet_schema: str, tmp_path: Path):
    from demo.prepare import prepare

    prepare(
        tmp_path / "pg", months=[1], fleet_url="postgresql://postgres@127.0.0.1:5432/test", fleet_schema=fleet_schema
    )
    line.connect("fleet_pg", conn_type="postgres", host="127.0.0.1", port=5432, login="postgres", schema="test")
    with line.using():
        new(written, "pg", "--connection", "fleet_pg", "--schema", fleet_schema)
        assert line.run("pg", **WEEK).state == "success"
    assert counts(line, "pg", "planes", "airlines", "airports") == [3322, 16, 1458]


def test_a_file_of_the_project_needs_no_connection_and_personal_columns_are_hashed(written):
    inbox = written.root / "inbox"
    inbox.mkdir()
    (inbox / "people.csv").write_text("id;email;age\n1;ann@example.org;30\n2;bob@example.org;NA\n")
    out = new(written, "people", "--file", "inbox/people.csv")
    config = load_config(written.configs / "people.yaml", written.configs).config
    assert config.extract.folder == "inbox"
    assert config.tables["people"].columns["email"].pii == "hash"
    assert config.tables["people"].format.delimiter == ";"
    assert "elt run people" in out


def files_of(project: Project, **texts: str) -> None:
    inbox = project.root / "inbox"
    inbox.mkdir(exist_ok=True)
    for name, text in texts.items():
        (inbox / f"{name}.csv").write_text(text)


def written_for(project: Project, *arguments: str):
    new(project, "found", "--file", "inbox", *arguments)
    return load_config(project.configs / "found.yaml", project.configs).config


def test_a_written_config_has_nothing_to_warn_of_but_freshness(project: Project):
    files_of(project, orders="id,amount,day\n1,2.5,2024-01-01\n2,3.5,2024-01-02\n")
    new(project, "found", "--file", "inbox")
    told = json.loads(project.elt("validate", "--json").stdout)
    assert [entry["code"] for entry in told] == ["no-freshness"]


def test_types_are_those_of_all_files_and_not_of_the_newest(project: Project):
    files_of(project, **{"log_2024-01": "id,amount\na,2.5\n", "log_2024-02": "id,amount\nb,3\n"})
    assert str(written_for(project).tables["log"].columns["amount"].type) == "float"
    assert "all of 2 files" in (project.configs / "found.yaml").read_text()


def test_a_key_that_holds_for_the_first_records_alone_is_none(project: Project):
    rows = "".join(f"{number},{number % 7}\n" for number in [*range(6000), 0])
    files_of(project, orders=f"order_id,kind\n{rows}")
    assert written_for(project).tables["orders"].primary_key == ()
    assert "6,001 records sampled" in (project.configs / "found.yaml").read_text()


def test_a_key_with_a_comma_in_its_name_stays_one_column(project: Project):
    rows = "".join(f"{number},x\n" for number in range(20))
    files_of(project, orders=f'"order, id",kind\n{rows}')
    assert written_for(project).tables["orders"].primary_key == ("order, id",)


def test_files_without_a_header_line_keep_their_first_record(line, written):
    files_of(written, **{"in[1]": "17/3/2013,ann,5\n18/3/2013,bob,6\n", ".hidden": "x\n1\n"})
    table = written_for(written).tables["in_1"]
    assert (table.format.header, table.path) == (False, "in[[]1].csv")
    assert line.run("found", window_start="2013-01-01T03:00", window_end="2013-01-02T03:00").state == "success"
    assert counts(line, "found", "in_1") == [2]


def test_files_by_period_without_a_key_load_no_row_twice(line, written):
    files_of(written, **{"log_2013-01": "a,b\n1,x\n1,x\n", "log_2013-02": "a,b\n2,y\n", "log_notes": "c\nz\n"})
    assert written_for(written).tables["log"].write_disposition == "replace"
    for day in (1, 2):
        window = {"window_start": f"2013-01-0{day}T03:00", "window_end": f"2013-01-0{day + 1}T03:00"}
        assert line.run("found", **window).state == "success"
        assert counts(line, "found", "log", "log_notes") == [3, 1]


def test_what_makes_no_valid_config_is_not_written(project: Project):
    files_of(project, orders="id,name\n1,x\n2,y\n")
    project.write("_defaults", "sensors: {before_transform: [{freshness: {table: flights, loaded_within: 2h}}]}\n")
    result = project.elt("new", "found", "--file", "inbox")
    assert result.exit_code == 1
    assert 'unknown table "flights"' in result.stderr
    assert "nothing written" in result.stderr
    assert not (project.configs / "found.yaml").exists()


def test_the_nearest_defaults_count(project: Project):
    files_of(project, orders="id,amount\n1,2\n2,3\n")
    project.write("_defaults", 'owner: everybody\nschedule: "@hourly"\n')
    project.write("sales/_defaults", "owner: sales\ntimezone: Europe/Berlin\n")
    assert project.elt("new", "found", "--file", "inbox", "--folder", "sales/eu").exit_code == 0
    text = (project.configs / "sales" / "eu" / "found.yaml").read_text()
    for line in (
        "$schema=../../source.schema.json",
        '# owner: "sales"',
        '# schedule: "@hourly"',
        '# timezone: "Europe',
    ):
        assert line in text
    config = load_config(project.configs / "sales" / "eu" / "found.yaml", project.configs).config
    assert (config.owner, str(config.schedule), config.timezone) == ("sales", "@hourly", "Europe/Berlin")


@pytest.mark.parametrize("folder", ["..", "../elsewhere", "/tmp", "a/../../b"])
def test_a_config_is_written_to_no_other_folder(project: Project, folder: str):
    files_of(project, orders="id,amount\n1,2\n2,3\n")
    result = project.elt("new", "found", "--file", "inbox", "--folder", folder)
    assert result.exit_code == 1
    assert "points outside" in result.stderr


@pytest.mark.parametrize(("given", "name"), [("inbox/Orders 2.csv", "orders_2"), ("inbox/*.csv", "inbox")])
def test_a_file_may_be_named_alone_and_gives_its_name(project: Project, given: str, name: str):
    files_of(project, **{"Orders 2": "id,amount\n1,2\n2,3\n"})
    result = project.elt("new", str(project.root / given))
    assert result.exit_code == 0, result.output
    assert f"name: {name}\n" in (project.configs / f"{name}.yaml").read_text()


def test_a_name_that_a_config_of_another_folder_has_is_taken(project: Project):
    project.write("sales/some", "name: orders\n")
    result = project.elt("new", "orders", "--file", "x.csv")
    assert result.exit_code == 1
    assert "dag_configs/sales/some.yaml already exists" in result.stderr.replace("\n", "")


def test_a_file_that_is_there_is_never_overwritten(project):
    file = project.write("orders", "name: orders\n")
    result = project.elt("new", "orders", "--file", "x.csv")
    assert result.exit_code == 1
    assert "orders_2" in result.stderr
    assert file.read_text() == "name: orders\n"


@pytest.mark.parametrize("url", ["https://u:hunter2@api.example.org/x", "https://api.example.org/x?api_key=hunter2"])
def test_a_secret_in_the_url_is_refused_and_never_shown(project, url):
    result = project.elt("new", "orders", "--url", url)
    assert result.exit_code == 1
    assert "hunter2" not in result.output + str(result.exception)
    assert "airflow connections add" in str(result.exception)
    assert not list(project.configs.glob("orders*"))
