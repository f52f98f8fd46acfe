"""Connectors that others wrote, from PyPI: killed at any moment, their rows and their state are those of one load.

Three of them, with few packages, are killed once each in every run of the tests. All of them, some of which are
installed with a hundred packages, are killed by hand:

    ELT_REAL_CONNECTORS=1 .venv/bin/pytest -n0 tests/extract/test_real_connectors.py

`ELT_KILLS` is the number of kills of each, then 3 by default. The same rules hold in every run for a connector of the
tests' own and for dlt, at moments that are chosen (test_connectors_killed.py).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from connectors_support import DLT, DLT_REQUIREMENTS
from extract_support import Asked, reply, serving
from manifest_support import MANIFEST

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window, load_id
from elt_factory.testing.loads import WEEK, Line, source_of
from elt_factory.warehouse.state import beginning

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]
ALL = bool(os.environ.get("ELT_REAL_CONNECTORS"))
FEW = ("airbyte-source-convex", "tap-jsonfile", "dlt")
KILLS = int(os.environ.get("ELT_KILLS", "3")) if ALL else 1
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
LAST_WEEK = Window(NEXT_WEEK.end, NEXT_WEEK.end + timedelta(days=7))
POSTGRES = {"host": "127.0.0.1", "port": 5432, "user": "postgres", "database": "postgres"}
CHANGES = {"write_disposition": "merge", "sync": "incremental"}


@dataclass
class Source:
    """What a connector is, what it is asked for, and how its data grow: `grow` returns the ids that there are then."""

    extract: dict[str, Any]
    table: dict[str, Any]
    settings: dict[str, Any]
    grow: Callable[[int], list[Any]]
    key: str = "id"
    password: str | None = None


@contextmanager
def faker(folder: Path) -> Iterator[Source]:
    """Every load brings all users, with new times: the state has the newest of them, and how many users there were."""
    settings = {"count": 0, "seed": 7, "parallelism": 1, "always_updated": True}

    def grow(step: int) -> list[int]:
        settings["count"] = 200 * step
        return list(range(1, 200 * step + 1))

    extract = {"type": "airbyte", "package": "airbyte-source-faker==7.2.1"}
    yield Source(extract, {"stream": "users", "primary_key": ["id"], **CHANGES}, settings, grow)


@contextmanager
def convex(folder: Path) -> Iterator[Source]:
    """A snapshot by pages, and then what has changed since: the state has both cursors."""
    documents: list[dict[str, Any]] = []

    def answer(asked: Asked):
        if asked.path == "/api/json_schemas":
            schema = {"type": "object", "properties": {"_id": {"type": "string"}, "_ts": {"type": "number"}}}
            return reply({"orders": schema})
        at, newest = int(asked.params.get("cursor", 0)), len(documents)
        page = documents[at : at + 25]
        time.sleep(0.02)
        more = {"cursor": at + len(page), "hasMore": at + len(page) < newest, "values": page}
        return reply({**more, "snapshot": newest} if asked.path == "/api/list_snapshot" else more)

    def grow(step: int) -> list[str]:
        documents.extend(
            {"_id": f"d{number}", "_ts": 1_357_000_000_000_000_000 + number, "total": number / 4}
            for number in range(len(documents), 300 * step)
        )
        return [document["_id"] for document in documents]

    with serving(answer) as server:
        settings = {"deployment_url": server.url, "access_key": "hunter2hunter2"}
        extract = {"type": "airbyte", "package": "airbyte-source-convex==0.4.51"}
        yield Source(extract, {"stream": "orders", "primary_key": ["_id"], **CHANGES}, settings, grow, "_id")


@contextmanager
def manifest(folder: Path) -> Iterator[Source]:
    """A low-code manifest by airbyte-cdk: every load asks from the day that the state has."""
    users: list[dict[str, Any]] = []
    (folder / "connectors").mkdir()
    (folder / "connectors" / "shop.yaml").write_text(MANIFEST)

    def answer(asked: Asked):
        newer = [user for user in users if user["at"] >= asked.params["from"]]
        page = int(asked.params.get("page", 1))
        time.sleep(0.01)
        return reply({"items": newer[2 * page - 2 : 2 * page]})

    def grow(step: int) -> list[int]:
        users.extend({"id": number, "at": f"2013-01-{step:02}"} for number in range(len(users), 101 * step))
        return [user["id"] for user in users]

    with serving(answer) as server:
        settings = {"url": server.url, "token": "hunter2hunter2", "since": "2013-01-01"}
        extract = {"type": "airbyte", "manifest": "connectors/shop.yaml"}
        yield Source(extract, {"stream": "users", "primary_key": ["id"], **CHANGES}, settings, grow)


@contextmanager
def sftp_bulk(folder: Path) -> Iterator[Source]:
    from sftp_support import SECRET, sftp_server

    files = folder / "sftp"
    files.mkdir()
    with sftp_server(files) as server:
        credentials = {"auth_type": "password", "password": SECRET}
        about = {"name": "orders", "globs": ["**/*.csv"], "format": {"filetype": "csv"}, "schemaless": False}
        settings = {"host": "127.0.0.1", "port": server.port, "username": "shop", "credentials": credentials}
        settings |= {"folder_path": "/", "streams": [about]}
        extract = {"type": "airbyte", "package": "airbyte-source-sftp-bulk==1.9.3"}
        table = {"stream": "orders", "primary_key": ["id"], **CHANGES}
        # of a CSV every value is a text for the connector
        yield Source(extract, table, settings, lambda step: [*map(str, files_of(files, "csv")(step))])


@contextmanager
def jsonfile(folder: Path) -> Iterator[Source]:
    files = folder / "json"
    files.mkdir()
    extract = {"type": "singer", "package": "tap-jsonfile==0.1.2"}
    table = {"stream": "records", "primary_key": ["id"], **CHANGES}
    yield Source(extract, table, {"paths": [f"{files}/*.json"]}, files_of(files, "json"))


@contextmanager
def singer_jsonl(folder: Path) -> Iterator[Source]:
    """Messages of another tap that are kept in a file, its states among them."""
    files = folder / "jsonl"
    files.mkdir()
    settings = {"source": "local", "local": {"folders": [str(files)], "recursive": False}, "add_record_metadata": False}
    extract = {"type": "singer", "package": "tap-singer-jsonl==0.1.0", "requirements": ["setuptools<81"]}
    schema = {"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}

    def grow(step: int) -> list[int]:
        numbers = list(range(500 * step))
        said: list[dict[str, Any]] = [
            {"type": "SCHEMA", "stream": "orders", "schema": schema, "key_properties": ["id"]}
        ]
        for number in numbers:
            said.append({"type": "RECORD", "stream": "orders", "record": {"id": number, "name": f"n{number}"}})
            if number % 100 == 99:
                said.append({"type": "STATE", "value": {"bookmarks": {"orders": {"id": number}}}})
        (files / "orders.singer.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
        return numbers

    yield Source(extract, {"stream": "orders", "primary_key": ["id"], **CHANGES}, settings, grow)


@contextmanager
def dlt_rest(folder: Path) -> Iterator[Source]:
    """dlt's own source of REST APIs, which asks for what is newer than the rows of the load before."""
    records: list[dict[str, Any]] = []

    def answer(asked: Asked):
        since, page = int(asked.params.get("since", 0)), int(asked.params.get("page", 1))
        newer = [record for record in records if record["at"] >= since]
        time.sleep(0.02)
        return reply(newer[100 * (page - 1) : 100 * page])

    def grow(step: int) -> list[int]:
        records.extend({"id": number, "at": number} for number in range(len(records), 500 * step))
        return [record["id"] for record in records]

    with serving(answer) as server:
        since = {"start_param": "since", "cursor_path": "at", "initial_value": 0}
        pages = {"type": "page_number", "base_page": 1, "total_path": None, "stop_after_empty_page": True}
        resource = {"name": "orders", "primary_key": "id", "endpoint": {"path": "orders", "incremental": since}}
        api = {"client": {"base_url": f"{server.url}/", "paginator": pages}, "resources": [resource]}
        extract = {"type": "dlt", "package": DLT, "requirements": [*DLT_REQUIREMENTS], "rest_api": api}
        yield Source(extract, {"stream": "orders", "primary_key": ["id"], **CHANGES}, {}, grow)


@contextmanager
def postgres(folder: Path) -> Iterator[Source]:
    import psycopg

    name = f"elt_tap_{os.getpid()}"
    place = " ".join(f"{ {'database': 'dbname'}.get(key, key) }={value}" for key, value in POSTGRES.items())
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, at timestamptz, total numeric(9,2))")

        def grow(step: int) -> list[int]:
            connection.execute(
                f"INSERT INTO {name} SELECT n, timestamptz '2013-01-01' + n * interval '1 minute', n / 4.0 "
                f"FROM generate_series(1, {2000 * step}) n ON CONFLICT DO NOTHING"
            )
            return list(range(1, 2000 * step + 1))

        extract = {"type": "singer", "package": "meltanolabs-tap-postgres==0.8.0", "executable": "tap-postgres"}
        table = {"stream": f"public-{name}", "primary_key": ["id"], "replication_key": "at", **CHANGES}
        try:
            yield Source(extract, table, {**POSTGRES, "password": "x", "filter_schemas": ["public"]}, grow)
        finally:
            connection.execute(f"DROP TABLE {name}")


def files_of(folder: Path, form: str) -> Callable[[int], list[int]]:
    """Return what writes a file of 500 rows for each step."""

    def grow(step: int) -> list[int]:
        rows = [{"id": number, "name": f"n{number}"} for number in range(500 * (step - 1), 500 * step)]
        file = folder / f"part-{step}.{form}"
        if form == "csv":
            text = "id,name\n" + "".join(f"{row['id']},{row['name']}\n" for row in rows)
        else:
            text = json.dumps(rows)
        file.write_text(text)
        return list(range(500 * step))

    return grow


SOURCES = {
    "airbyte-source-faker": faker,
    "airbyte-source-convex": convex,
    "airbyte-cdk": manifest,
    "airbyte-source-sftp-bulk": sftp_bulk,
    "tap-jsonfile": jsonfile,
    "tap-singer-jsonl": singer_jsonl,
    "meltanolabs-tap-postgres": postgres,
    "dlt": dlt_rest,
}


@pytest.fixture(autouse=True)
def environments(dlt_environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ELT_CONNECTORS", os.environ.get("ELT_CONNECTORS") or str(dlt_environments))


def line_of(folder: Path, source: Mapping[str, Any]) -> Line:
    """Return the line of what a test, or its worker, was given."""
    extract = {**source["extract"], "connection": "theirs"}
    config = {"name": "acme", "extract": extract, "tables": {"rows": source["table"]}}
    connection = Connection("theirs", "generic", extra=source["settings"])
    return Line(source_of(config, folder), connection, folder, lambda _: None)


def work(folder: str) -> None:
    """Load the second window, in a process that is killed."""
    line_of(Path(folder), json.loads(Path(folder, "given.json").read_text())).load(NEXT_WEEK)


def held(line: Line, key: str) -> tuple[list[Any], str | None]:
    """Return the keys of all rows, and the state that the next load would begin with."""
    spec = line.source.tables[line.table]
    with line.warehouse() as opened:
        load = load_id(line.source.name, line.table, LAST_WEEK)
        state = beginning(opened, line.source.name, line.table, spec, load, LAST_WEEK).token
    return sorted(row[key] for row in line.rows()), state


@pytest.mark.parametrize("name", SOURCES if ALL else FEW)
def test_rows_and_state_are_those_of_one_load_whenever_it_is_killed(name, tmp_path):
    with SOURCES[name](tmp_path) as source:

        def line() -> Line:
            given = {"extract": source.extract, "table": source.table, "settings": source.settings}
            (tmp_path / "given.json").write_text(json.dumps(given))
            return line_of(tmp_path, given)

        wanted = sorted(source.grow(1))
        line().load(WEEK)
        began = time.monotonic()
        line().load(WEEK)
        takes = time.monotonic() - began
        rows, state = held(line(), source.key)
        assert rows == wanted
        assert state is not None
        step, commits = 2, 0
        for seed in range(KILLS):
            grown = sorted(source.grow(step))
            line()  # tells the worker how much there is now
            rows_then, state_then = killed(tmp_path, line, source.key, takes, seed)
            # all of the load or nothing of it: what was committed is never taken back either
            done = rows_then == grown
            assert done or rows_then == wanted
            assert (state_then != state) == done
            if done:
                wanted, state, step, commits = grown, state_then, step + 1, commits + 1
        print(f"{name}: {KILLS} kills, {commits} after the commit; rows and state agree after each")  # noqa: T201 - for -s
        grown = sorted(source.grow(step))
        line().load(NEXT_WEEK)
        assert held(line(), source.key)[0] == grown
        # the state leads on: nothing is there that was not there before
        line().load(LAST_WEEK)
        assert held(line(), source.key)[0] == grown


def killed(folder: Path, line: Callable[[], Line], key: str, takes: float, seed: int) -> tuple[list[Any], str | None]:
    """Kill a load at some moment of it, and return what the warehouse has then."""
    code = "import sys, test_real_connectors as tests; tests.work(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with (folder / "worker.log").open("ab") as out:
        worker = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment, stdout=out, stderr=out)
        time.sleep(random.Random(seed).uniform(1.0, 1.2 * takes + 2))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    return held(line(), key)
