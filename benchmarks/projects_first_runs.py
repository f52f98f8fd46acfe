"""Run what `elt import` makes of public projects: does the first run load rows that the old tool has loaded?

    python benchmarks/projects_first_runs.py FOLDER...

Each FOLDER is a project, as for `projects.py`. Each table that continues from a cursor is loaded once, through its
config as it was written, into DuckDB: tables of a database from PostgreSQL on loopback (ELT_POSTGRES_HOST), tables of
an API from a server that answers with everything it has, whatever it is asked for. The source has rows from before the
value that the old tool had, one with exactly that value, and newer ones. Counted are the tables with an older row, and
those that lack a newer one. Exits with 1 where there is any.

The place where the old tool stopped is written as that tool writes it. With ELT_DLT_PYTHON, a Python that has
`dlt[sql_database,duckdb]` and psycopg2, dlt itself reads what is old of each table of a dlt project first, and the
project is imported with the state of that pipeline.

What is read by a package of another tool (Singer, Airbyte, dlt) is handed the old tool's state as it is, and is not run
here: tests/extract/test_real_connectors.py does that.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
import yaml
from psycopg import sql

from elt_factory.core.connection import Connection
from elt_factory.core.failures import EltError
from elt_factory.core.window import Window
from elt_factory.dag.timetables import intervals
from elt_factory.discover.periods import sane_name
from elt_factory.importing import dlt, sling
from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.found import connections_at
from elt_factory.importing.airbyte.said import ConnectionSaid
from elt_factory.importing.dlt_rest.compiling import config_of
from elt_factory.importing.dlt_rest.finding import RestConfig, configs_in
from elt_factory.importing.dlt_sql.compiling import configs_of as configs_of_databases
from elt_factory.importing.dlt_sql.finding import DATABASE, DatabaseRead, databases_in
from elt_factory.importing.project import Imported, NotAProjectError
from elt_factory.importing.writing import yaml_text
from elt_factory.testing.loads import Line, source_of
from projects import files_of, pinned
from projects_states import rest_of
from projects_states import state_of as state_by_dlt

PYTHON = os.environ.get("ELT_DLT_PYTHON", "")
HOST = os.environ.get("ELT_POSTGRES_HOST", "127.0.0.1")
# before the time of day at which the schedule of every import runs
SINCE = datetime(2024, 3, 5, 0, 30, tzinfo=UTC)
OLD, NEW = 6, 4
END = SINCE + timedelta(days=30)
Row = dict[str, Any]


class _Anything(dict[str, Any]):
    """A mapping that has the same value under every name: the state of whatever is asked for."""

    def __init__(self, value: Any) -> None:
        super().__init__({"": value})
        self.value = value

    def get(self, _: str, __: Any = None) -> Any:
        return self.value

    def __contains__(self, _: object) -> bool:
        return True


_STATE_OF_DLT = _Anything({"incremental": _Anything({"last_value": f"{SINCE:%Y-%m-%dT%H:%M:%SZ}"})})


@dataclass(frozen=True)
class Found:
    """A config of a project; where it is of dlt, how it is imported with other states, and its REST configuration."""

    made: Imported
    again: Callable[[Mapping[str, Any]], Imported] | None = None
    rest: RestConfig | None = None


def configs_of(project: Path) -> Iterator[Found]:
    """Yield the configs of a project that can be run here, with the cursor of the old tool."""
    for file in files_of(project):
        if file.suffix in (".yaml", ".yml"):
            with suppress(NotAProjectError):
                yield from map(Found, sling.imported(file, f"{SINCE:%Y-%m-%d %H:%M:%S}"))
    with suppress(NotAProjectError):
        said, _ = connections_at(project)
        yield from map(Found, connections.imported([replace(one, state=state_of(one)) for one in said], {}, pinned))
    for tree, module in dlt.modules_of(project):
        yield from _of_module(tree, module)


def _of_module(tree: ast.Module, module: str) -> Iterator[Found]:
    for one in configs_in(tree, module):
        again = partial(_rest_config, one)
        yield Found(again({one.state: {"resources": _STATE_OF_DLT}}), again, one)
    reads = databases_in(tree)
    for place, made in enumerate(configs_of_databases(reads, module, {DATABASE: {"resources": _STATE_OF_DLT}})):
        yield Found(made, partial(_database_config, reads, module, place))


def _rest_config(one: RestConfig, states: Mapping[str, Any]) -> Imported:
    return config_of(one, states.get(one.state) or {})


def _database_config(reads: list[DatabaseRead], module: str, place: int, states: Mapping[str, Any]) -> Imported:
    return configs_of_databases(reads, module, states)[place]


def state_of(said: ConnectionSaid) -> dict[str, Any]:
    """Return the state of a connection whose streams are all read up to the same time."""
    states = [
        {
            "streamDescriptor": {"name": one.name, **({"namespace": one.namespace} if one.namespace else {})},
            "streamState": {"cursor": f"{SINCE:%Y-%m-%dT%H:%M:%S}", "cursor_field": list(one.cursor)},
        }
        for one in said.streams or []
    ]
    return {"stateType": "stream", "streamState": states}


def rows_of(spec: Any, config: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a table: those that the old tool has, one with the very value, and newer ones."""
    moments = [SINCE - timedelta(hours=7 * number) for number in range(OLD, 0, -1)]
    moments += [SINCE + timedelta(hours=number) for number in range(NEW + 1)]
    ways = config.get("flatten") or {}
    cursor = spec.incremental.cursor
    rows = []
    for number, moment in enumerate(moments):
        row: Row = dict.fromkeys(spec.primary_key or [], number) | {"told": number}
        above = row
        *steps, last = str(ways[cursor]).split(".") if cursor in ways else [cursor]
        for step in steps:
            above = above.setdefault(step, {})
        above[last] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        rows.append(row)
    return rows


# a server with rows, and what gives it other rows
Served = tuple[Connection, Callable[[list[Row]], None]]


@contextmanager
def database(rows: list[Row], schema: str | None, table: str) -> Iterator[Served]:
    """Serve rows as a table of PostgreSQL."""
    name = f"elt_projects_{os.getpid()}"
    address = f"host={HOST} user=postgres dbname={{}}"
    with psycopg.connect(address.format("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {0}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {0}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(address.format(name), autocommit=True) as own:
                place = sql.Identifier(schema or "public", table)
                own.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {0}").format(sql.Identifier(schema or "public")))
                kinds = {key: "timestamptz" if isinstance(value, str) else "bigint" for key, value in rows[0].items()}
                columns = [sql.SQL("{0} " + kind).format(sql.Identifier(key)) for key, kind in kinds.items()]
                own.execute(sql.SQL("CREATE TABLE {0} ({1})").format(place, sql.SQL(", ").join(columns)))

                def fill(all_of: list[Row]) -> None:
                    own.execute(sql.SQL("TRUNCATE {0}").format(place))
                    for row in all_of:
                        values = sql.SQL(", ").join(sql.Placeholder() for _ in row)
                        own.execute(sql.SQL("INSERT INTO {0} VALUES ({1})").format(place, values), list(row.values()))

                fill(rows)
                yield Connection("old", "postgres", host=HOST, login="postgres", schema=name), fill
        finally:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {0} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def api(rows: list[Row], records: str | None) -> Iterator[Served]:
    """Serve rows as the only page of an API, at whatever path it is asked."""
    asked: Counter[str] = Counter()
    held = {"rows": rows}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            asked[path] += 1
            answer: Any = held["rows"] if asked[path] == 1 else []
            for step in reversed((records or "").split(".") if records else []):
                answer = {step: answer}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - so http.server calls it

        def log_message(self, *_: Any) -> None:
            pass

    def fill(all_of: list[Row]) -> None:
        held["rows"] = all_of
        asked.clear()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield Connection("old", "http", host=address, login="me", password="x" * 20), fill
    finally:
        server.shutdown()
        server.server_close()


def first_run(found: Found, table: str, folder: Path) -> str:
    """Load a table once; return what is wrong with it, empty where nothing is."""
    config, given = found.made.config, found.made.config["tables"][table]
    source = _alone(config, table, folder)
    spec = source.tables[table]
    rows = rows_of(spec, given)
    if source.extract.type == "sql":
        served = database(rows, given.get("schema") or config["extract"].get("schema"), given.get("table") or table)
    else:
        records = given.get("records")
        served = api(rows, records.get("path") if isinstance(records, Mapping) else records)
    with served as (connection, fill):
        if PYTHON and found.again:
            fill(rows[: OLD + 1])
            states = _read_by_dlt(found, table, connection, folder)
            config = found.again(states).config
            if config["tables"].get(table) in (None, found.again({}).config["tables"].get(table)):
                raise RuntimeError("the state of dlt's pipeline is not taken over")
            source = _alone(config, table, folder)
            fill(rows)
        midnight = datetime.combine(source.start_date, datetime.min.time(), ZoneInfo(source.timezone))
        begins = next(intervals(source, Window(midnight, END))).start
        line = Line(source, connection, folder, lambda _: None)
        line.load(Window(begins, END))
        loaded = sorted(row["told"] for row in line.rows())
    older = [number for number in loaded if number < OLD]
    missing = [number for number in range(OLD + 1, OLD + NEW + 1) if number not in loaded]
    return f"{len(older)} old rows" if older else f"{len(missing)} new rows are missing" if missing else ""


def _alone(config: Mapping[str, Any], table: str, folder: Path) -> Any:
    return source_of(yaml.safe_load(yaml_text({**config, "tables": {table: config["tables"][table]}})), folder)


def _read_by_dlt(found: Found, table: str, connection: Connection, folder: Path) -> dict[str, Any]:
    """Let dlt read the old rows, and return what its pipeline has kept."""
    config, given = found.made.config, found.made.config["tables"][table]
    if found.rest:
        named = [one["name"] for one in found.rest.said["resources"] if isinstance(one, Mapping)]
        resource = next(one for one in named if (sane_name(one) or "records") == table)
        rest = rest_of(found.rest.said, resource, str(connection.host))
        return state_by_dlt(PYTHON, {"rest": rest, "name": found.rest.state}, folder)
    read = {
        "address": f"postgresql+psycopg2://postgres@{HOST}/{connection.schema}",
        "schema": given.get("schema") or config["extract"].get("schema") or "public",
        "name": given.get("table") or table,
        "cursor": given["incremental"]["cursor"],
        "key": given.get("primary_key"),
    }
    return state_by_dlt(PYTHON, {"table": read}, folder)


@dataclass
class Counted:
    """What became of first runs."""

    right: int = 0
    wrong: int = 0
    unrun: Counter[str] = field(default_factory=Counter)


def counted(project: Path) -> Counted:
    """Run the tables of a project that continue from a cursor."""
    found = Counted()
    named = [(one, table) for one in configs_of(project) for table in one.made.config["tables"]]
    for one, table in named:
        config = one.made.config
        if "incremental" not in config["tables"][table]:
            continue
        if "for_each" in config["tables"][table]:
            found.unrun["it is read with the rows of a parent"] += 1
            continue
        with tempfile.TemporaryDirectory() as scratch:
            try:
                text = first_run(one, table, Path(scratch))
            except (EltError, psycopg.Error, RuntimeError) as error:
                found.unrun[" ".join(str(error).split())[:110]] += 1
                continue
        found.right, found.wrong = found.right + (not text), found.wrong + bool(text)
        if text:
            print(f"    {config['name']}.{table}: {text}", flush=True)
    return found


def main(projects: list[Path]) -> int:
    """1 where a first run loads an old row, or lacks a new one."""
    all_of = [(project.name, counted(project)) for project in projects]
    for name, one in all_of:
        if one.right + one.wrong:
            print(f"{name:50} {one.right:4} of {one.right + one.wrong:4} tables load no old row, and all new ones")
    wrong, right = sum(one.wrong for _, one in all_of), sum(one.right for _, one in all_of)
    unrun = sum((one.unrun for _, one in all_of), Counter[str]())
    ran = sum(bool(one.right + one.wrong) for _, one in all_of)
    print(f"{ran} projects, {right + wrong} tables with a cursor were run; {wrong} wrong; {unrun.total()} not run:")
    for reason, count in unrun.most_common(10):
        print(f"{count:5}  {reason}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main([Path(one) for one in sys.argv[1:]]))
