import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from demo import dataset
from demo.__main__ import main
from demo.dataset import dataset_file
from demo.errors import DemoError
from demo.fleet import lay_fleet
from demo.prepare import Prepared, prepare
from demo.weather import lay_weather

POSTGRES = os.environ.get("DEMO_TEST_POSTGRES_URL", "postgresql://root@127.0.0.1:5432/test")
TABLES = ("planes", "airlines", "airports")
ROWS = {"planes": 3322, "airlines": 16, "airports": 1458}


def fingerprints(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def postgres() -> Iterator[psycopg.Connection]:
    try:
        con = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("ELT_REQUIRE_SERVICES") == "1":
            pytest.fail(f"PostgreSQL is required and not reachable: {error}")
        pytest.skip(f"PostgreSQL is not reachable: {error}")
    with con:
        yield con


@pytest.fixture
def schema(postgres: psycopg.Connection) -> Iterator[str]:
    name = f"fleet_{uuid.uuid4().hex}"
    yield name
    postgres.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


def test_the_weather_files_hold_the_datasets_lines_unchanged_each_under_the_header(tmp_path: Path) -> None:
    header, *lines = dataset_file("weather.csv").read_text().splitlines()

    paths = lay_weather(tmp_path)

    assert [path.name for path in paths] == [f"weather_2013-{month:02}.csv" for month in range(1, 13)]
    laid = [path.read_text().splitlines() for path in paths]
    assert all(of_month[0] == header for of_month in laid)
    assert sorted(line for of_month in laid for line in of_month[1:]) == sorted(lines)


def test_a_weather_file_holds_its_local_month_only(tmp_path: Path) -> None:
    [path] = lay_weather(tmp_path, [2])
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]

    assert len(rows) == 2010
    assert {(row[1], row[2]) for row in rows} == {("2013", "2")}
    assert any("NA" in row for row in rows)


def test_months_appear_when_asked_for_and_the_others_stay(tmp_path: Path) -> None:
    lay_weather(tmp_path, [1])
    lay_weather(tmp_path, [3])

    assert sorted(path.name for path in (tmp_path / "weather").iterdir()) == [
        "weather_2013-01.csv",
        "weather_2013-03.csv",
    ]


def test_a_weather_file_is_renamed_into_place_from_a_name_no_csv_watcher_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, list[Path]]] = []
    rename = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((self.suffix, list(self.parent.glob("*.csv"))))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    lay_weather(tmp_path, [1])

    assert seen == [(".part", [])]


def test_a_damaged_weather_file_is_fixed(tmp_path: Path) -> None:
    [path] = lay_weather(tmp_path, [1])
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])

    assert lay_weather(tmp_path, [1]) == [path]
    assert path.read_bytes() == whole


def test_preparing_again_changes_no_byte_and_is_quick(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    before = fingerprints(tmp_path)
    started = time.monotonic()
    again = prepare(tmp_path)
    elapsed = time.monotonic() - started

    assert (len(first.weather_files), first.fleet_tables) == (12, TABLES)
    assert again == Prepared((), ())
    assert fingerprints(tmp_path) == before
    assert elapsed < 2


def test_the_sqlite_fleet_has_the_datasets_rows_types_keys_and_nulls(tmp_path: Path) -> None:
    lay_fleet(tmp_path)

    con = sqlite3.connect(tmp_path / "fleet.sqlite")
    counts = {table: con.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    columns = {row[1]: (row[2], row[5]) for row in con.execute("PRAGMA table_info(airports)")}
    plane = con.execute("SELECT * FROM planes WHERE tailnum = 'N10156'").fetchone()
    texts = con.execute("SELECT count(*) FROM planes WHERE year = 'NA' OR engine = 'NA'").fetchone()
    con.close()

    assert counts == ROWS
    assert columns["faa"] == ("TEXT", 1)
    assert columns["alt"] == ("INTEGER", 0)
    assert columns["lat"][0].startswith("DOUBLE")
    assert plane == (
        "N10156", 2004, "Fixed wing multi engine", "EMBRAER", "EMB-145XR", 2, 55, None, "Turbo-fan",
    )  # fmt: skip
    assert texts == (0,)


def test_a_changed_fleet_table_is_brought_back_and_the_others_are_left(tmp_path: Path) -> None:
    lay_fleet(tmp_path)
    with sqlite3.connect(tmp_path / "fleet.sqlite") as con:
        con.execute("UPDATE planes SET seats = 0 WHERE tailnum = 'N10156'")
        con.execute("DELETE FROM planes WHERE tailnum = 'N102UW'")
    con.close()

    assert lay_fleet(tmp_path) == ["planes"]
    assert lay_fleet(tmp_path) == []


def test_the_postgresql_fleet_is_in_its_own_schema_with_types_keys_and_nulls(
    tmp_path: Path, postgres: psycopg.Connection, schema: str
) -> None:
    prepare(tmp_path, months=[1], fleet_url=POSTGRES, fleet_schema=schema)

    counts = {table: postgres.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone() for table in TABLES}
    types = postgres.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = 'airports'",
        [schema],
    ).fetchall()
    keys = postgres.execute(
        "SELECT table_name, column_name FROM information_schema.key_column_usage WHERE table_schema = %s",
        [schema],
    ).fetchall()
    unzoned = postgres.execute(f"SELECT count(*) FROM {schema}.airports WHERE tzone IS NULL").fetchone()

    assert counts == {table: (rows,) for table, rows in ROWS.items()}
    assert dict(types) == {
        "faa": "text",
        "name": "text",
        "lat": "double precision",
        "lon": "double precision",
        "alt": "integer",
        "tz": "integer",
        "dst": "text",
        "tzone": "text",
    }
    assert sorted(keys) == [("airlines", "carrier"), ("airports", "faa"), ("planes", "tailnum")]
    assert unzoned == (3,)
    assert not (tmp_path / "fleet.sqlite").exists()


def test_laying_the_postgresql_fleet_again_writes_no_row(
    tmp_path: Path, postgres: psycopg.Connection, schema: str
) -> None:
    def row_versions() -> list[tuple[str, str]]:
        return postgres.execute(f"SELECT ctid::text, xmin::text FROM {schema}.planes").fetchall()

    assert lay_fleet(tmp_path, POSTGRES, schema) == list(TABLES)
    before = row_versions()

    assert lay_fleet(tmp_path, POSTGRES, schema) == []
    assert row_versions() == before


def test_an_unreachable_database_is_one_line_that_hides_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://someone:hush@127.0.0.1:1/test"

    code = main(["prepare", "--data-dir", str(tmp_path), "--months", "1", "--fleet-url", url])

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("error: cannot lay the fleet in ")
    assert said.count("\n") == 1
    assert "hush" not in said


def test_a_fleet_url_of_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="write postgresql://"):
        lay_fleet(tmp_path, "mysql://root@localhost/test")


def test_without_the_dataset_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "find_spec", lambda name: None)

    with pytest.raises(DemoError, match="install the `demo` dependency group"):
        prepare(tmp_path)
