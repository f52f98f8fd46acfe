"""Connections of a database driver that answer by a script: for databases of which there is no server here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

Rows = Sequence[Sequence[Any]]


@dataclass
class Script:
    """What a server answers: by the first pattern that a statement has, its description and rows.

    A column of SQL Server has its ODBC type after what the DB API describes.
    """

    answers: Sequence[tuple[str, Sequence[Sequence[Any]], Rows]]
    sent: list[str] = field(default_factory=list)
    version: str = "21.3.0.0.0"

    def answer(self, statement: str) -> tuple[Sequence[Sequence[Any]], Rows]:
        self.sent.append(" ".join(statement.split()))
        for pattern, description, rows in self.answers:
            if re.search(pattern, self.sent[-1], re.IGNORECASE):
                return description, rows
        return (), ()


class Connection:
    """A connection as SQLAlchemy uses it."""

    def __init__(self, script: Script) -> None:
        self.script, self.version, self.autocommit = script, script.version, False
        self.outputtypehandler = self.inputtypehandler = None
        self.stmtcachesize, self.max_identifier_length = 0, 128

    def cursor(self, *_: Any, **__: Any) -> Cursor:
        return Cursor(self.script)

    def commit(self) -> None:
        self.script.sent.append("commit")

    def rollback(self) -> None:
        self.script.sent.append("rollback")

    def close(self) -> None:
        pass


class Cursor:
    """A cursor as SQLAlchemy uses it."""

    rowcount, lastrowid, arraysize, prefetchrows = -1, None, 100, 2

    def __init__(self, script: Script) -> None:
        self._script = script
        self.description: Sequence[Sequence[Any]] | None = None
        self._rows: list[Sequence[Any]] = []
        self._column_sql_types: list[int] = []

    def execute(self, statement: str, *_: Any, **__: Any) -> Cursor:
        description, rows = self._script.answer(statement)
        self.description = [column[:7] for column in description] or None
        self._column_sql_types = [column[7] for column in description if len(column) > 7]
        self._rows = [] if re.search(r"TOP 0|FETCH FIRST 0", self._script.sent[-1]) else [*rows]
        return self

    def fetchone(self) -> Sequence[Any] | None:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 100) -> list[Sequence[Any]]:
        found, self._rows = self._rows[:size], self._rows[size:]
        return found

    def fetchall(self) -> list[Sequence[Any]]:
        return self.fetchmany(len(self._rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def setinputsizes(self, *_: Any, **__: Any) -> None:
        pass

    def var(self, *_: Any, **__: Any) -> None:
        pass

    def close(self) -> None:
        pass
