"""Snowflake for a plan: see `recording`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from elt_factory.core.connection import Connection
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.recording import COUNT, Recorder, Script, is_lookup
from elt_factory.warehouse.snowflake import sql
from elt_factory.warehouse.snowflake.errors import NoSuchObjectError
from elt_factory.warehouse.snowflake.sql import DIALECT
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse

_COPIED = re.compile(r"COPY INTO .*/(data|rejects|files|keys)/ FILE_FORMAT = ")


class SnowflakeRecorder(Recorder, SnowflakeWarehouse):
    """A Snowflake account that is never logged in to."""

    def __init__(self, order: LoadOrder) -> None:
        self.script = Script(DIALECT, order)
        super().__init__(Connection("warehouse", "snowflake"))

    def _connect(self) -> None:
        self._secrets = ()
        self._connection: Any = _Connection(self.script)


class _Connection:
    """What the warehouse uses of a connection of the connector."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def cursor(self) -> _Cursor:
        return _Cursor(self._script)


class _Column(NamedTuple):
    name: str


class _Cursor:
    """What the warehouse uses of a cursor of the connector."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.description: list[_Column] = []
        self._rows: Sequence[tuple[Any, ...]] = ()
        self.rowcount = 0

    def execute(self, statement: str, **_: object) -> None:
        names, self._rows = self._answered(statement)
        self.description = [*map(_Column, names)]
        self.rowcount = COUNT

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        return self._rows

    def _answered(self, statement: str) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
        if is_lookup(statement):
            return self._looked_up(statement)
        rows = self._script.answer(statement)
        if copied := _COPIED.match(statement):
            return ("file", "rows_loaded"), [(f"{copied[1]}.parquet", COUNT)]
        return ("number of rows changed", "") if rows else (), rows

    def _looked_up(self, statement: str) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
        columns, options = self._script.columns, self._script.order.options
        if statement == sql.describe_table(self._script.order.target):
            if not columns:
                raise NoSuchObjectError(f"{statement}: there is no such table yet")
            described = [
                (DIALECT.name(name).strip('"'), DIALECT.type(kind), options.comments.get(name))
                for name, kind in columns.items()
            ]
            return ("name", "type", "comment"), described
        if statement == sql.table_comment(self._script.order.target):
            return ("comment",), [(options.comment,)]
        return (), []
