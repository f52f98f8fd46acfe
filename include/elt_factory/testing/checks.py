"""What every kind of check must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlglot

from elt_factory.checks.counting import LoadedRows, breaking_rows
from elt_factory.checks.kind import ColumnCheckKind
from elt_factory.config.models.checks import COLUMN_CHECKS, ColumnCheck
from elt_factory.core.sql_text import literal
from elt_factory.describe.reference import reference
from elt_factory.describe.schema import config_schema
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse
from elt_factory.warehouse.snowflake.sql import DIALECT as SNOWFLAKE

_TABLE, _LOAD = Relation("src", "tab"), "load-1"


class ColumnCheckSuite:
    """A kind of check for the values of a column.

    Subclass it, and set the check as YAML has it, the SQL type of its column, and values that fulfil it and that break
    it. NULL breaks no check but `not_null`.
    """

    check: ClassVar[dict[str, Any]]
    sql_type: ClassVar[str] = "VARCHAR"
    good: ClassVar[list[Any]]
    bad: ClassVar[list[Any]]

    @property
    def kind(self) -> ColumnCheckKind:
        """The kind that the check names."""
        found: ColumnCheckKind = COLUMN_CHECKS.get(ColumnCheck.model_validate(self.check).kind)
        return found

    @pytest.fixture
    def loaded(self, tmp_path: Path) -> DuckDBWarehouse:
        """Return a warehouse with the good and the bad values in a column of a table, and more in another load."""
        warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb", log=lambda _: None)
        warehouse.create_schema(_TABLE.schema)
        table = _TABLE.sql(warehouse.dialect)
        warehouse.execute(f'CREATE TABLE {table} ("v" {self.sql_type}, "_load_id" VARCHAR)')
        for value in [*self.good, *self.bad]:
            warehouse.execute(f"INSERT INTO {table} VALUES ({literal(value)}, {literal(_LOAD)})")
        return warehouse

    def statement(self, rows: LoadedRows) -> str:
        """Return the statement that counts the rows that break the check."""
        kind, spec = self.kind, ColumnCheck.model_validate(self.check).spec
        if kind.condition:
            return breaking_rows(rows, kind.condition(rows, rows.column("v"), spec))
        if kind.statement:
            return kind.statement(rows, rows.column("v"), spec)
        pytest.skip(f"{kind.name} counts no rows by a statement of its own")

    def test_the_rows_that_break_it_are_counted(self, loaded: DuckDBWarehouse) -> None:
        with loaded:
            rows = LoadedRows(loaded.dialect, _TABLE, ("v", "_load_id"), _LOAD)
            assert int(loaded.query(self.statement(rows)).rows[0][0]) == len(self.bad)

    def test_the_rows_that_break_it_can_be_set_aside_before_they_are_loaded(self, loaded: DuckDBWarehouse) -> None:
        fulfilled = self.kind.row_condition(ColumnCheck.model_validate(self.check).spec, "v")
        if fulfilled is None:
            pytest.skip(f"{self.kind.name} looks at more than single rows")
        with loaded:
            count = f"SELECT count(*) FROM {_TABLE.sql(loaded.dialect)} WHERE NOT {fulfilled}"
            assert int(loaded.query(count).rows[0][0]) == len(self.bad)

    def test_its_sql_is_snowflakes_too(self) -> None:
        rows = LoadedRows(SNOWFLAKE, _TABLE, ("v", "_load_id"), "it's")
        sqlglot.parse_one(self.statement(rows), dialect="snowflake")

    def test_it_is_in_the_schema_and_in_the_reference(self) -> None:
        assert self.kind.name in config_schema()["definitions"]["ColumnCheck"]["properties"]
        assert f"| `{self.kind.name}` |" in reference()

    def test_it_has_a_label_and_words(self) -> None:
        check = ColumnCheck.model_validate(self.check)
        assert self.kind.label(check.spec)
        assert check.words.startswith(self.kind.name.replace("_", " "))
