"""The profile of a load: what its columns are like, and checks that hold for it. Personal values are not shown."""

import json

import pytest
import sqlglot
import yaml
from checks_support import Checked, day
from typer.testing import CliRunner

from elt_factory.checks.profile import bar_aggregates, newest_load, profiled, proposed
from elt_factory.sources.files.model import FilesSource
from elt_factory.warehouse.duckdb.warehouse import DIALECT
from elt_factory.warehouse.snowflake.sql import DIALECT as SNOWFLAKE

TABLE = {
    "primary_key": ["id"],
    "columns": {"id": {"type": "integer"}, "mail": {"type": "text", "pii": "hash"}, "note": {"type": "text"}},
}
ROWS = [
    {"id": number, "mail": f"{number}@x.org", "kind": "ab"[number % 2], "price": number * 1.5 if number % 4 else None}
    for number in range(60)
]


@pytest.mark.parametrize("dialect", [DIALECT, SNOWFLAKE])
def test_bars_part_all_numbers_once(dialect):
    parts = bar_aggregates(dialect, dialect.name("n"), 0.0, 12.0)
    assert len(parts) == 12
    assert parts[0] == f"count(CASE WHEN CAST({dialect.name('n')} AS DOUBLE) < 1.0 THEN 1 END)"
    assert parts[-1] == f"count(CASE WHEN CAST({dialect.name('n')} AS DOUBLE) >= 11.0 THEN 1 END)"
    for part in parts:
        sqlglot.parse_one(f"SELECT {part}")


def test_every_column_of_the_newest_load_is_profiled(checked):
    source = checked(TABLE)
    source.load([{"id": 1000, "kind": "z"}], day(1))
    source.load(ROWS, day(2))
    table = source.config.tables["tab"]
    load = newest_load(source.warehouse, "src", "tab")
    assert load == source.request(day(2)).load_id
    found = {profile.name.lower(): profile for profile in profiled(source.warehouse, "src", "tab", table, load)}
    assert found["id"].rows == found["id"].values == found["id"].distinct == 60
    assert (found["id"].low, found["id"].high, found["id"].quantiles["p50"]) == ("0", "59", 29.5)
    assert sum(found["id"].bars) == 60
    assert (found["price"].nulls, sum(found["price"].bars)) == (15, 45)
    assert found["kind"].top == (("a", 30), ("b", 30))
    personal = found["mail"]
    assert (personal.distinct, personal.low, personal.high, personal.top, personal.bars) == (60, None, None, (), ())
    checks = {name.lower(): listed for name, listed in proposed(list(found.values()), table).items()}
    assert checks["id"][:2] == [{"not_null": True}, {"unique": True}]
    assert checks["id"][2] == {"between": [0, 59]}
    assert checks["mail"] == [{"not_null": True}]
    assert checks["kind"] == [{"not_null": True}, {"accepted_values": ["a", "b"]}]
    assert checks["price"] == [{"between": [1.5, 89]}, {"distribution": {"nulls": "10%"}, "severity": "warn"}]


@pytest.mark.duckdb
def test_the_command_draws_it_and_what_it_proposes_is_valid(tmp_path, monkeypatch):
    from contextlib import nullcontext

    from elt_factory.cli import profile as command
    from elt_factory.cli.main import app
    from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

    (tmp_path / "dag_configs").mkdir()
    given = {"name": "src", "extract": {"type": "files", "folder": "x"}, "tables": {"tab": {"path": "x"} | TABLE}}
    (tmp_path / "dag_configs" / "src.yaml").write_text(yaml.safe_dump(given))
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb", log=lambda _: None) as warehouse:
        monkeypatch.setattr(command, "opened_warehouse", lambda: nullcontext(warehouse))
        empty = CliRunner().invoke(app, ["profile", "src"])
        assert empty.output.strip() == "src.tab has no rows yet"
        Checked(warehouse, FilesSource.model_validate(given), tmp_path / "landing").load(ROWS)
        said = CliRunner().invoke(app, ["profile", "src"])
        assert said.exit_code == 0, said.output
        assert "@x.org" not in said.output
        assert "█" in said.output
        proposals = yaml.safe_load(said.output[said.output.index("tables:") :])
        columns = proposals["tables"]["tab"]["columns"]
        merged = {name: given["tables"]["tab"]["columns"].get(name, {}) | more for name, more in columns.items()}
        FilesSource.model_validate(given | {"tables": {"tab": {"path": "x", "primary_key": ["id"], "columns": merged}}})
        as_json = json.loads(CliRunner().invoke(app, ["profile", "src", "--json"]).output)
        assert next(column["name"] for column in as_json["columns"]["tab"]) == "id"
        unknown = CliRunner().invoke(app, ["profile", "src", "--table", "tub"])
        assert unknown.exit_code == 1
