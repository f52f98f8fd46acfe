"""Projects of other tools as configs: their cursors are taken over, and what stays out is listed with the reason."""

import json
import sqlite3
from pathlib import Path

import pytest
import yaml
from importing_support import first_moment
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.core.connection import Connection
from elt_factory.core.failures import redact
from elt_factory.core.window import Window
from elt_factory.importing import dag_factory, dlt, meltano, sling
from elt_factory.importing.project import NotAProjectError
from elt_factory.importing.writing import yaml_text
from elt_factory.testing.loads import WEEK, Line, source_of

MELTANO = """
version: 1
include_paths: [./extract/*.yml]
plugins:
  extractors:
  - name: tap-base
    pip_url: tap-github~=2.0
    config: {start_date: "2024-01-01", auth_token: $TOKEN, list: [{password: "abc12345x"}]}
  - name: tap-mine
    inherit_from: tap-base
    executable: tap-github
    config: {searches: acme}
    load_schema: raw
    select: [issues.*, "!issues.body", users.id]
    metadata:
      issues: {replication-method: INCREMENTAL, replication-key: updated_at, table-key-properties: [id]}
  loaders:
  - {name: target-snowflake}
schedules:
- {name: daily, extractor: tap-mine, interval: "@daily", start_date: 2024-02-03T00:00:00Z}
jobs:
- {name: all, tasks: [tap-mine target-snowflake]}
"""
MORE = """
plugins:
  extractors:
  - {name: tap-slack, pip_url: "git+https://github.com/acme/tap-slack.git@v1.2", select: ["*.*"]}
  - {name: tap-odd, pip_url: ./taps/odd}
"""
STATE = {"bookmarks": {"issues": {"replication_key_value": "2024-03-01"}, "users": {}}}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "extract").mkdir()
    (tmp_path / "meltano.yml").write_text(MELTANO)
    (tmp_path / "extract" / "more.yml").write_text(MORE)
    return tmp_path


def pin(package):
    return f"{package}==2.1.0" if package == "tap-github" else None


def test_taps_of_meltano_continue_from_their_state(project):
    found = {one.config["name"]: one for one in meltano.imported(project, {"tap-mine": STATE}, pin)}
    mine = found["mine"]
    assert mine.config["schedule"] == "0 0 * * *"
    assert str(mine.config["start_date"]) == "2024-02-03"
    assert mine.config["extract"] == {
        "type": "singer",
        "package": "tap-github==2.1.0",
        "executable": "tap-github",
        "connection": "mine_tap",
        "config": {"start_date": "2024-01-01", "searches": "acme"},
    }
    assert set(mine.held) == {"extra.auth_token", "extra.list"}
    assert mine.config["tables"] == {
        "issues": {
            "primary_key": ["id"],
            "write_disposition": "merge",
            "sync": "incremental",
            "replication_key": "updated_at",
            "initial_state": {"bookmarks": {"issues": {"replication_key_value": "2024-03-01"}}},
            "columns": {"body": {"pii": "drop"}},
        },
        "users": {"write_disposition": "replace"},
    }
    assert "its key is not in the project" in mine.notes["users"][0]


def test_what_meltano_has_and_no_config_can_say_is_listed(project):
    found = {one.config["name"]: one for one in meltano.imported(project, {}, pin)}
    assert {"target-snowflake", "all", "daily"} - {"daily"} <= set(found["base"].left_out)
    assert "tap-mine: load_schema" in found["mine"].left_out
    assert "elt new slack --singer 'tap-slack @ git+https://github.com/acme/tap-slack.git@v1.2'" in str(
        found["slack"].left_out
    )
    assert "no version of ./taps/odd is known" in found["odd"].left_out["tap-odd"]


def meltano_of(folder, tap, catalog=None, **more):
    """The project of one tap, with the catalog of its streams."""
    if catalog is not None:
        (folder / "catalog.json").write_text(json.dumps({"streams": catalog}))
        tap = {**tap, "catalog": "catalog.json"}
    (folder / "meltano.yml").write_text(yaml.safe_dump({"plugins": {"extractors": [tap]}, **more}))
    return folder


def test_columns_that_a_tap_did_not_read_are_dropped(tmp_path):
    columns = {"properties": {name: {} for name in ("id", "at", "email", "name")}}
    about = {"key_properties": ["id"], "schema": columns}
    unselected = {"breadcrumb": ["properties", "email"], "metadata": {"selected": False}}
    catalog = [
        {"tap_stream_id": "orders", **about, "metadata": [unselected]},
        {"tap_stream_id": "people", **about, "replication_key": "at"},
        {"tap_stream_id": "items", **about},
        {"tap_stream_id": "audit", **about},
        {"tap_stream_id": "late", **about},
    ]
    select = ["orders.*", "people.name", "people.id", "*.*", "!items.e*", "!audit.*", "!late"]
    tap = {"name": "tap-github", "select": select, "metadata": {"items.name": {"selected": False}}}
    (found,) = meltano.imported(meltano_of(tmp_path, tap, catalog), {}, pin)
    dropped = {name: set(table.get("columns", {})) for name, table in found.config["tables"].items()}
    assert dropped == {"orders": {"email"}, "people": set(), "items": {"email", "name"}}
    assert {found.left_out["audit"], found.left_out["late"]} == {"it was not selected"}
    tap = {"name": "tap-github", "select": ["people.name", "orders.a.b", "!orders.c.d"]}
    (found,) = meltano.imported(meltano_of(tmp_path, tap, catalog), {}, pin)
    # the key and the cursor come whatever is selected
    assert set(found.config["tables"]["people"]["columns"]) == {"email"}
    assert "c.d were not selected, and come" in found.notes["orders"][0]


def test_a_project_drops_nothing_without_a_word(tmp_path):
    catalog = [
        {"tap_stream_id": "Public-Orders", "key_properties": ["id"], "replication_method": "LOG_BASED"},
        {"tap_stream_id": "public_orders", "key_properties": ["id"]},
    ]
    tap = {"name": "tap-github", "env": {"A": "b"}, "python": "python3.9", "select_filter": ["x"]}
    schedules = [
        {"name": "one", "extractor": "tap-github", "interval": "@daily", "env": {"REGION": "us"}},
        {"name": "two", "extractor": "tap-github", "interval": "@yearly"},
    ]
    prod = {"name": "prod", "env": {"K": "hunter2"}}
    prod["config"] = {"plugins": {"extractors": [{"name": "tap-github", "config": {"host": "x"}, "select": ["a.*"]}]}}
    more = {"schedules": schedules, "environments": [prod], "env": {"GITHUB_TOKEN": "hunter2"}}
    states = {"tap-github": {"bookmarks": {"gone": {"at": 1}}}, "tap-githbu": {"bookmarks": {}}}
    (found,) = meltano.imported(meltano_of(tmp_path, tap, catalog, **more), states, pin)
    assert set(found.left_out) == {
        "public_orders", "state of gone", "state of tap-githbu", "env", "env of the environment prod",
        "tap-github in the environment prod", "env of the schedule one", "one", "two",
        *(f"tap-github: {key}" for key in ("env", "python", "select_filter")),
    }  # fmt: skip
    assert "LOG_BASED" in found.notes["public_orders"][0]
    assert "host, select" in found.left_out["tap-github in the environment prod"]
    assert "hunter2" not in yaml_text(found.config, found.remarks)


def test_an_address_with_a_password_is_not_copied(tmp_path):
    settings = {"url": "postgresql://me:hunter2@db/x", "cache": "redis://:hunter2@db", "dsn": "me/hunter2@db"}
    tap = {"name": "tap-github", "config": settings | {"api": "https://api.example:8443/a@b"}, "select": ["a.*"]}
    (found,) = meltano.imported(meltano_of(tmp_path, tap), {}, pin)
    assert found.config["extract"]["config"] == {"api": "https://api.example:8443/a@b"}
    assert set(found.held) == {"extra.url", "extra.cache", "extra.dsn"}


def test_remarks_have_no_password_of_an_address(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    source = {"client": {"base_url": "https://me:hunter2@api.example/v1"}, "resources": ["users", "Users"]}
    text = "from dlt.sources.rest_api import rest_api_source\nmine = rest_api_source("
    (tmp_path / "shop.py").write_text(f"{text}{source})\n")
    ran = CliRunner().invoke(app, ["import", "dlt", str(tmp_path / "shop.py"), "--package", "dlt==1.31.0"])
    assert ran.exit_code == 0, ran.output
    (file,) = (tmp_path / "dag_configs").iterdir()
    assert "host: https://me:***@api.example/v1" in file.read_text()
    assert "hunter2" not in file.read_text() + ran.output
    assert redact("see https://h/x?page=1&api_key=abc#a, or a") == "see https://h/x?page=1&api_key=***#a, or a"


def test_a_rule_for_one_stream_takes_back_what_one_for_all_says(tmp_path):
    metadata = {
        "*": {"replication-method": "INCREMENTAL", "replication-key": "at", "table-key-properties": "id"},
        "shop-rates": {"replication-method": "FULL_TABLE", "replication-key": ""},
    }
    tap = {"name": "tap-github", "select": ["shop-orders.*", "shop-rates.*"], "metadata": metadata}
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump({"plugins": {"extractors": [tap]}}))
    state = {"bookmarks": {one: {"replication_key_value": "2024-03-01"} for one in ("shop-orders", "shop-rates")}}
    (found,) = meltano.imported(tmp_path, {"": state}, pin)
    orders, rates = found.config["tables"]["shop_orders"], found.config["tables"]["shop_rates"]
    # a key of one column may be written without a list
    assert (orders["primary_key"], orders["replication_key"]) == (["id"], "at")
    assert "initial_state" in orders
    assert "sync" not in rates
    assert "initial_state" not in rates


def test_a_folder_with_a_catalog_is_a_tap(tmp_path):
    streams = [
        {"tap_stream_id": "a-b", "stream": "ab", "key_properties": ["id"], "replication_key": "at", "schema": {}},
        {"tap_stream_id": "left", "stream": "left", "schema": {}, "metadata": [{"metadata": {"selected": False}}]},
    ]
    streams[0]["replication_method"] = "INCREMENTAL"
    streams.append({"tap_stream_id": "text", "stream": "text", "schema": {}, "metadata": []})
    streams[2]["metadata"] = [{"breadcrumb": [], "metadata": {"table-key-properties": "code"}}]
    (tmp_path / "catalog.json").write_text(json.dumps({"streams": streams}))
    (tmp_path / "state.json").write_text(json.dumps({"bookmarks": {"a-b": {"at": "2024"}}}))
    (tmp_path / "config.json").write_text(json.dumps({"api_key": "abcdefgh12", "site": "x"}))
    (found,) = meltano.imported(tmp_path, {}, pin, "tap-github")
    assert found.config["extract"]["config"] == {"site": "x"}
    assert list(found.config["tables"]) == ["a_b", "text"]
    assert found.config["tables"]["text"]["primary_key"] == ["code"]
    table = found.config["tables"]["a_b"]
    assert (table["stream"], table["replication_key"]) == ("a-b", "at")
    assert table["initial_state"] == {"bookmarks": {"a-b": {"at": "2024"}}}
    with pytest.raises(NotAProjectError, match="write --package"):
        meltano.imported(tmp_path, {}, pin)


def test_a_state_without_the_name_of_its_tap_is_of_the_only_one(project, tmp_path):
    for one in meltano.imported(project, {"": STATE}, pin):
        tap = f"tap-{one.config['name']}"
        assert "initial_state" not in str(one.config["tables"])
        if tap in ("tap-base", "tap-mine"):
            assert "it does not say of which tap it is" in one.left_out[f"{tap}: state"]
    alone = {"extractors": [{"name": "tap-github", "metadata": {"issues": {"table-key-properties": ["id"]}}}]}
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump({"plugins": alone}))
    (found,) = meltano.imported(tmp_path, {"": STATE}, pin)
    assert "initial_state" in found.config["tables"]["issues"]


def test_states_are_read_as_singer_and_meltano_write_them(tmp_path):
    file = tmp_path / "state.json"
    for given in (STATE, {"singer_state": STATE}, {"completed": {"singer_state": STATE}}):
        file.write_text(json.dumps(given))
        assert meltano.states_in(file) == {"": STATE}
    file.write_text(json.dumps({"tap-a": {"singer_state": STATE}, "tap-b": STATE}))
    assert meltano.states_in(file) == {"tap-a": STATE, "tap-b": STATE}


SLING = """
source: MY_PG
target: SNOWFLAKE
defaults: {mode: incremental, object: "raw.{stream_table}", primary_key: [id], target_options: {a: 1}}
streams:
  public.orders: {update_key: changed}
  public.events: {update_key: seq, primary_key: []}
  public.users: {mode: full-refresh}
  public.all_*: {}
  public.asked: {sql: "select 1"}
  public.log: {mode: snapshot}
  "file://x.csv": {}
hooks: {start: []}
"""


def test_a_replication_of_sling_begins_where_the_old_target_ends(tmp_path):
    file = tmp_path / "replication.yaml"
    file.write_text(SLING)
    (found,) = sling.imported(file, "2013-01-02")
    assert found.config["name"] == "my_pg"
    assert found.config["extract"] == {"type": "sql", "connection": "my_pg", "schema": "public"}
    orders, events, users = (found.config["tables"][name] for name in ("orders", "events", "users"))
    assert orders == {
        "primary_key": ["id"],
        "write_disposition": "merge",
        "incremental": {"cursor": "changed", "initial": "2013-01-02"},
        "where": "\"changed\" >= '2013-01-02'",
    }
    assert events["write_disposition"] == "append"
    assert users == {"primary_key": ["id"], "write_disposition": "replace"}
    assert set(found.left_out) == {"public.all_*", "public.asked", "public.log", "file://x.csv", "hooks"}
    assert "keys without a counterpart: target_options" in found.notes["orders"]


@pytest.mark.duckdb
def test_the_runs_of_an_imported_replication_load_no_old_row(tmp_path):
    database = sqlite3.connect(tmp_path / "shop.db")
    with database:
        database.execute("create table orders (id integer primary key, changed text)")
        database.executemany("insert into orders values (?, ?)", [(n, f"2013-01-0{n} 12:00:00") for n in range(1, 7)])
        database.execute("insert into orders values (7, '2013-01-04 12:00:00')")
    database.close()
    file = tmp_path / "replication.yaml"
    file.write_text(
        "source: SHOP\ntarget: X\nstreams:\n  orders: {mode: incremental, update_key: changed, primary_key: id}\n"
    )
    # the row of the very value is read again: another one may have come with it
    (found,) = sling.imported(file, "2013-01-04 12:00:00")
    config = yaml.safe_load(yaml_text(found.config))
    config["tables"]["orders"]["columns"] = {"changed": {"type": "timestamp"}}
    connection = Connection("shop", "sqlite", host=str(tmp_path / "shop.db"))
    line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
    assert line.source.catchup
    line.load(Window(first_moment(line.source), WEEK.end))
    assert sorted(row["id"] for row in line.rows()) == [4, 5, 6, 7]
    (by_number,) = sling.imported(file, "41")
    assert by_number.config["tables"]["orders"]["incremental"]["initial"] == 41


def test_one_value_for_cursors_of_several_kinds_is_told(tmp_path):
    file = tmp_path / "replication.yaml"
    streams = {"orders": {"primary_key": "id", "update_key": "at"}, "items": {"update_key": "id"}, "all": {}}
    replication = {"source": "A", "target": "B", "defaults": {"mode": "incremental"}, "streams": streams}
    file.write_text(yaml.safe_dump(replication))
    (found,) = sling.imported(file, "2024-03-01")
    assert "taken for each of at, id" in str(found.notes["orders"])
    assert "rows of exactly 2024-03-01" in str(found.notes["items"])
    assert "taken for" not in str(found.notes["all"])


DLT = """
import dlt

@dlt.source(name="shop")
def shop_source(key=dlt.secrets.value):
    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(at=dlt.sources.incremental("changed")):
        yield []

    @dlt.resource(name="people", primary_key=["a", "b"], write_disposition="replace")
    def users():
        yield []

    @dlt.transformer(data_from=orders)
    def lines(order):
        yield order

    return orders, users, lines, dlt.resource([1], name=key)

@dlt.resource(primary_key=KEYS)
def alone():
    raise SystemExit("nothing of the project is run")
"""


def test_sources_of_dlt_continue_from_their_pipelines_state(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(DLT)
    kept = {"incremental": {"changed": {"last_value": 3}}}
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"sources": {"shop": {"resources": {"orders": kept}}}}))
    source, alone = dlt.imported(tmp_path, dlt.states_in(state), "dlt==1.31.0", "pipelines")
    assert source.config["extract"] == {
        "type": "dlt",
        "package": "dlt==1.31.0",
        "source": "shop:shop_source",
        "folder": "pipelines",
    }
    assert source.config["tables"] == {
        "orders": {
            "primary_key": ["id"],
            "write_disposition": "merge",
            "sync": "incremental",
            "initial_state": {"sources": {"shop": {"resources": {"orders": kept}}}},
        },
        "people": {"primary_key": ["a", "b"], "write_disposition": "replace"},
        "lines": {"write_disposition": "replace"},
    }
    assert list(source.left_out) == ["other resources of shop_source"]
    assert alone.config["extract"]["source"] == "shop:alone"
    assert "primary_key is computed" in alone.notes["alone"][0]


UNSAID_OF_DLT = """
import dlt

@dlt.resource(primary_key="id", write_disposition="append", columns={"a": {}})
def orders():
    last = dlt.current.resource_state().setdefault("last", 0)
    yield []

@dlt.resource(name="Orders", primary_key="id", write_disposition={"disposition": "merge", "strategy": "scd2"})
def orders_too():
    yield []

@dlt.resource(name=f"a{1}", primary_key="id")
def computed():
    yield []

@dlt.source
def shop():
    return orders, orders_too, computed
"""


def test_a_source_of_dlt_drops_nothing_without_a_word(tmp_path):
    (tmp_path / "shop.py").write_text(UNSAID_OF_DLT)
    kept = {"shop": {"resources": {"Orders": {"last": 5}}, "page": 7}}
    (found,) = dlt.imported(tmp_path, kept, "dlt==1.31.0")
    assert list(found.config["tables"]) == ["orders"]
    assert set(found.left_out) == {"Orders", "computed", "state of shop"}
    (tmp_path / "shop.py").write_text(UNSAID_OF_DLT.replace("return orders, orders_too", "return orders_too"))
    told = str([found.notes, *(one.notes for one in dlt.imported(tmp_path, kept, "dlt==1.31.0"))])
    for text in ("columns", "strategy scd2", "state is not taken over", "scd2 keeps the others"):
        assert text in told


DAGS = """
default: {default_args: {owner: sales, start_date: 2024-03-01}, schedule: "@daily"}
shop:
  description: The shop
  on_failure_callback: x
  tasks:
    orders:
      operator: airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator
      conn_id: pg
      sql: select * from orders
      pool: a
    made: {operator: airflow.operators.bash.BashOperator, bash_command: echo}
    rates: {operator: airflow.providers.http.operators.http.HttpOperator, method: GET, endpoint: rates}
"""


def test_tasks_of_dag_factory_that_read_rows_are_tables_and_all_others_are_listed(tmp_path):
    file = tmp_path / "dags.yml"
    file.write_text(DAGS)
    (found,) = dag_factory.imported(file)
    assert (found.config["owner"], found.config["schedule"], found.config["start_date"]) == (
        "sales",
        "@daily",
        "2024-03-01",
    )
    assert found.config["tables"] == {"orders": {"query": "select * from orders", "write_disposition": "replace"}}
    assert set(found.left_out) == {"made", "rates", "on_failure_callback"}
    assert "keys without a counterpart: pool" in found.notes["orders"]
    more = DAGS.replace("  description", "  catchup: true\n  tags: [a]\n  schedule: {cron: x}\n  description")
    more = more.replace("sales,", "sales, retries: 3,").replace(
        "    made:", "    Orders: {conn_id: pg, sql: select 1}\n    made:"
    )
    more = more.replace("Orders: {", "Orders: {operator: SQLExecuteQueryOperator, ")
    file.write_text(more)
    (found,) = dag_factory.imported(file)
    assert {"catchup", "tags", "schedule", "Orders"} <= set(found.left_out)
    assert "retries" in found.left_out["default_args"]
    assert found.config["tables"]["orders"]["query"] == "select * from orders"


def test_the_command_writes_each_config_and_lists_what_is_in_none(tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    file = tmp_path / "replication.yaml"
    file.write_text(SLING)
    result = CliRunner().invoke(app, ["import", "sling", str(file), "--since", "2024-03-01"])
    assert result.exit_code == 0, result.output
    assert "not in a config: public.log: mode snapshot" in result.output
    text = (tmp_path / "dag_configs" / "my_pg.yaml").read_text()
    assert text.startswith("# The Airflow connection my_pg needs:")
    assert "#   public.log: mode snapshot" in text
    again = CliRunner().invoke(app, ["import", "sling", str(file)])
    assert again.exit_code == 1
    assert "already exists" in again.output


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (lambda file: sling.imported(file, None), "a: 1", "not a replication of sling"),
        (dag_factory.imported, "a: 1", "no DAG with tasks"),
        (dag_factory.imported, "- a", "expected a mapping"),
        (dag_factory.imported, "a: [", "not YAML"),
        (lambda file: meltano.imported(file, {}, pin), "version: 1", "has no extractors"),
        (lambda file: dlt.imported(file.parent, {}, "dlt==1"), "", "no function with @dlt.source"),
        (dlt.states_in, "{}", "not the state of a dlt pipeline"),
        (meltano.states_in, "x", "not JSON"),
        (meltano.states_in, "[]", "not a state"),
    ],
)
def test_what_is_no_project_is_refused(tmp_path, read, text, reason):
    file = tmp_path / "file.yml"
    Path(file).write_text(text)
    with pytest.raises(NotAProjectError, match=reason):
        read(file)


def test_the_count_over_projects_has_every_tool_and_finds_each_config_valid(project, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import projects

    for name, text in (("replication.yaml", SLING), ("dags.yml", DAGS), ("a-shop/src/shop.py", DLT)):
        file = tmp_path / "other" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    projects.main([project])
    out = capsys.readouterr().out
    assert "projects 1 of 1 become configs" in out
    assert "configs  5 of 5 are valid as they are written" in out
    assert "dag-factory, dlt, meltano, sling" in out
    assert "  1  mode snapshot" in out
    # a folder that is not a package is where its modules are imported from
    (shop, _) = dlt.imported(tmp_path / "other", {}, "dlt==1.31.0")
    assert (shop.config["extract"]["folder"], shop.config["extract"]["source"]) == (
        "dlt/a-shop/src",
        "shop:shop_source",
    )


@pytest.mark.parametrize(
    ("tool", "name", "why"),
    [
        ("dlt", "piplines", 'no such file or folder: {at}; did you mean "pipelines"?'),
        ("sling", "nowhere.yaml", "no such file or folder"),
        ("sling", "pipelines", "a folder; name a YAML file in it"),
        ("dag-factory", "pipelines", "a folder; name a YAML file in it"),
        ("dlt", "pipelines", "broken.py: not Python: line 1: "),
        ("singer", "tap", "state.json: not JSON"),
        ("airbyte", "plain.yaml", "neither a low-code manifest"),
    ],
)
def test_what_is_not_a_project_is_one_clear_error(tool, name, why, tmp_path, monkeypatch):
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    for folder in ("pipelines", "tap"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipelines" / "broken.py").write_text("def (")
    (tmp_path / "tap" / "catalog.json").write_text('{"streams": []}')
    # of a state nothing is guessed: without it everything would be read again
    (tmp_path / "tap" / "state.json").write_text("{")
    (tmp_path / "plain.yaml").write_text("x: 1")
    package = {"dlt": ["--package", "dlt==1.31.0"], "singer": ["--package", "tap-x==1.0"]}.get(tool, [])
    result = CliRunner().invoke(app, ["import", tool, str(tmp_path / name), *package])
    assert result.exit_code == 1
    assert why.format(at=tmp_path / name).replace(" ", "") in "".join(result.output.split())


def test_a_module_that_is_not_python_is_listed(tmp_path):
    (tmp_path / "shop.py").write_text(DLT)
    (tmp_path / "broken.py").write_text("def (")
    found = dlt.imported(tmp_path, {}, "dlt==1.31.0")[0]
    assert found.left_out["broken.py"].startswith("not Python: line 1: ")
