"""dlt's source of databases as configs: what a script reads, how it writes it, where its pipeline stopped."""

import json
import sqlite3

import pytest
import yaml
from importing_support import first_moment

from elt_factory.core.connection import Connection
from elt_factory.core.window import Window
from elt_factory.importing import dlt
from elt_factory.importing.project import NotAProjectError
from elt_factory.importing.writing import yaml_text
from elt_factory.testing.loads import WEEK, Line, source_of

STOPPED = "\uf0272013-01-04T12:00:00+00:00"  # as dlt marks a time in its state


def kept(table, value, cursor="changed", source="sql_database"):
    return {source: {"resources": {table: {"incremental": {cursor: {"last_value": value}}}}}}


def imported(tmp_path, code, states=None, name="shop_pipeline"):
    (tmp_path / f"{name}.py").write_text(f"import dlt\n{code}")
    return dlt.imported(tmp_path, states or {}, "dlt==1.31.0")


def tables(tmp_path, code, states=None):
    (found,) = imported(tmp_path, code, states)
    return found.config["tables"]


CHOSEN = """
def load():
    shop = sql_database("mysql://root:hunter2hunter2@db/shop", schema="sales")
    shop = shop.with_resources("orders", "Lines", "rates")
    shop.orders.apply_hints(incremental=dlt.sources.incremental("changed"), primary_key="id")
    shop.resources["Lines"].apply_hints(incremental=dlt.sources.incremental("seq"))
    dlt.pipeline("shop").run(shop, write_disposition="merge")

if __name__ == "__main__":
    load()
"""


def test_chosen_tables_continue_from_the_pipelines_state(tmp_path):
    states = kept("orders", STOPPED)
    states["sql_database"]["resources"] |= kept("Lines", 41, "seq")["sql_database"]["resources"]
    (found,) = imported(tmp_path, CHOSEN, states)
    assert found.config["name"] == "shop"
    assert found.config["extract"] == {"type": "sql", "connection": "shop", "schema": "sales"}
    assert found.config["tables"] == {
        "orders": {
            "primary_key": ["id"],
            "write_disposition": "merge",
            "incremental": {"cursor": "changed", "initial": "2013-01-04"},
            "where": "\"changed\" >= '2013-01-04T12:00:00+00:00'",
        },
        # the key is the database's: without it a row with the last value would come a second time
        "lines": {"table": "Lines", "write_disposition": "append", "incremental": {"cursor": "seq", "initial": 42}},
        "rates": {"write_disposition": "replace"},
    }
    assert (found.config["start_date"], found.config["catchup"]) == ("2013-01-03", True)
    assert "dlt takes its key from the database" in found.notes["lines"][0]
    assert "hunter2" not in yaml_text(found.config, found.remarks)


@pytest.mark.duckdb
@pytest.mark.parametrize(("how", "ids"), [("primary_key='id', write_disposition='merge'", [4, 5, 6]), ("", [5, 6])])
def test_the_first_run_loads_what_is_newer_than_the_pipelines_state(how, ids, tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id integer primary key, changed text)")
        database.executemany("insert into orders values (?, ?)", [(n, f"2013-01-0{n} 12:00:00") for n in range(1, 7)])
    code = "orders = sql_table(table='orders', incremental=dlt.sources.incremental('changed'))\n"
    code += f"orders.apply_hints({how})"
    # of a table alone dlt names the source after the pipeline
    (found,) = imported(tmp_path, code, kept("orders", STOPPED.removesuffix("+00:00"), source="any"))
    config = yaml.safe_load(yaml_text(found.config))
    config["tables"]["orders"]["columns"] = {"changed": {"type": "timestamp"}}
    connection = Connection("shop", "sqlite", host=str(tmp_path / "shop.db"))
    line = Line(source_of(config, tmp_path), connection, tmp_path, lambda _: None)
    line.load(Window(first_moment(line.source), WEEK.end))
    assert sorted(row["id"] for row in line.rows()) == ids


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("sql_database(table_names=['orders', 'lines'])", ["lines", "orders"]),
        ("sql_database(None, 'public', None, ['orders'])", ["orders"]),
        ("NAMES = ['orders', 'lines']\nx = sql_database().parallelize().with_resources(*NAMES)", ["lines", "orders"]),
        ("sql_table(None, 'orders')", ["orders"]),
        ("all = sql_database()\nall.orders.apply_hints(primary_key='id')\nall.max_table_nesting = 0", ["orders"]),
        ("all = sql_database()\nall.with_resources('orders')\nall.orders.apply_hints(primary_key='id')", ["orders"]),
        ("sql_database(table_names=['orders', of()])", ["orders"]),
        ("all = sql_database(table_names=['orders', 'lines'])\nsome = all.with_resources('lines')", ["lines"]),
        ("def other():\n    sql_table(table='a')\ndef ran():\n    sql_table(table='b')\nran()", ["b"]),
        ("def one():\n    sql_table(table='a')\ndef two():\n    sql_table(table='b')", ["a", "b"]),
        ("@dlt.source\ndef shop():\n    yield sql_table(table='a')", ["a"]),
        ("def ran():\n    with x:\n        if y:\n            return [sql_table(table='b')]\nran()", ["b"]),
    ],
)
def test_the_tables_are_those_that_the_script_reads(code, names, tmp_path):
    found = [name for one in imported(tmp_path, code) for name in one.config["tables"]]
    assert sorted(found) == names


def test_hints_of_a_loop_and_of_a_run_are_of_each_table(tmp_path):
    code = """
shop = sql_database(table_names=["orders", "lines"])
for name, table in shop.resources.items():
    table.apply_hints(primary_key=["id"], incremental=dlt.sources.incremental("changed", lag=60))
dlt.pipeline("shop").run([shop], write_disposition={"disposition": "merge", "strategy": "upsert"})
"""
    found = tables(tmp_path, code, kept("orders", STOPPED))
    assert {name: one["write_disposition"] for name, one in found.items()} == {"orders": "merge", "lines": "merge"}
    # what is late within the lag has to come
    assert found["orders"]["incremental"] == {"cursor": "changed", "lag": "60s", "initial": "2013-01-04"}
    assert "where" not in found["orders"]


def test_databases_and_schemas_are_configs_of_their_own(tmp_path):
    code = "a = sql_database(schema='Sales', table_names=['x'])\nb = sql_database(schema='Person', table_names=['x'])"
    found = imported(tmp_path, code)
    assert [one.config["name"] for one in found] == ["shop_sales", "shop_person"]
    assert [one.config["extract"]["schema"] for one in found] == ["Sales", "Person"]
    code = "a = sql_database(ONE, table_names=['x'])\nb = sql_database(TWO, table_names=['x'])"
    assert [one.config["name"] for one in imported(tmp_path, code)] == ["shop", "shop_2"]


@pytest.mark.parametrize(
    ("code", "where", "why"),
    [
        ("sql_database()", "other tables of the module", "they are not in the code"),
        ("def f():\n    sql_database('p://a:secret99@h', table_names=of(3))\nf()", "other tables of f", "ted: of(3)"),
        ("sql_table(table='a', incremental=mine())", "a", "a cursor by code: mine()"),
        ("sql_table(table='a', incremental=dlt.sources.incremental('b', last_value_func=min))", "a", "last_value_func"),
        ("sql_table(table='a')\nsql_table(table='a')", "a of the module", "another read of it is the table a"),
        ("sql_table(table='a', schema=of())", "schema of the module", "the code computes it: of()"),
    ],
)
def test_what_the_code_does_not_say_is_listed(code, where, why, tmp_path):
    (found,) = imported(tmp_path, code)
    assert why in found.left_out[where]
    assert "secret99" not in yaml_text(found.config, found.remarks)


def test_what_changes_rows_is_to_be_looked_at(tmp_path):
    code = "t = sql_table(table='a', included_columns=['id']).add_map(f)\nt.apply_hints(primary_key=of())"
    (found,) = imported(tmp_path, code)
    notes = " ".join(found.notes["a"])
    for text in ("not every column is read", "code changes its rows (add_map)", "its key is code", "appended the wh"):
        assert text in notes


def test_states_of_several_pipelines_that_have_one_table_are_not_guessed_between(tmp_path):
    states = kept("a", STOPPED, source="one") | kept("a", STOPPED, source="two")
    (found,) = imported(tmp_path, "sql_table(table='a', incremental=dlt.sources.incremental('changed'))", states)
    assert found.left_out["a"] == "the states of one, two have it: import with that of one pipeline"


def test_a_table_that_is_replaced_by_its_news_is_replaced_by_all(tmp_path):
    code = "t = sql_table(table='a', incremental=dlt.sources.incremental('b'))\np.run(t, write_disposition='replace')"
    assert tables(tmp_path, code) == {"a": {"write_disposition": "replace"}}


def test_a_function_of_another_name_is_not_a_database(tmp_path):
    with pytest.raises(NotAProjectError, match="no sql_database"):
        imported(tmp_path, "x = database().with_resources('a')\nx.a.apply_hints(primary_key='b')")


def test_the_state_in_a_folder_of_pipelines_is_found(tmp_path):
    folder = tmp_path / "pipelines" / "shop"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"sources": kept("orders", STOPPED)}))
    found = tables(tmp_path, CHOSEN, dlt.states_in(tmp_path / "pipelines"))
    assert found["orders"]["incremental"]["initial"] == "2013-01-04"
