"""What a load sends, without a warehouse: the real warehouse over a connection that keeps statements and answers them.

The answers are those of a first load: the audit tables are there, no other load is, and all counts are the landing's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import Value
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.manifest import LandedFile, Manifest
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.warehouse import audit, ledger
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect
from elt_factory.warehouse.order import LoadOrder

# what only a run knows: each of these values is shown as a word, and no real value is one of them
NOW = datetime(1000, 1, 1, 0, 0, 1, tzinfo=UTC)
ATTEMPT = Attempt("a77e3b7a77e3", datetime(1000, 1, 1, 0, 0, 2, tzinfo=UTC))
COUNT = 999_999_999_989
READ = 3 * COUNT  # good rows, rejects and duplicates
UNKNOWN = ColumnType("decimal", 37, 36)
RUN_ID = ":run_id"
FOLDER = Path("landing")
PLACE: Place = LocalPlace(FOLDER)  # nothing is read of it
_LOOKUP = re.compile(
    r"DESCRIBE |LIST |SELECT CURRENT_TIMESTAMP\(\)$|SELECT (greatest\()?max\(.* AS newest FROM |"
    r"SELECT .* FROM (information_schema\.|duckdb_(tables|columns)\(\))",
    re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One statement, and a few words for people about its purpose."""

    comment: str
    sql: str


def is_lookup(statement: str) -> bool:
    """Whether a statement only asks what there is, or what time it is there: a plan leaves these out."""
    return _LOOKUP.match(statement) is not None


def filled(outline: Manifest, table: Table) -> Manifest:
    """Return the manifest of a landing that has rows and rejects, and entries for the ledger where files are read."""
    parts = ("data/data", "rejects", "files", "keys")
    data, rejects, files, keys = (LandedFile(f"{ATTEMPT.name}/{part}.parquet", COUNT, COUNT) for part in parts)
    deletes = table.follows_deletes
    named, dated = outline.cursor_column is not None, table.business_date is not None
    return replace(
        outline,
        files=(data,),
        rejects=rejects,
        ledger=files if table.of_files else None,
        **(_compared(outline, keys, table.primary_key) if deletes and deletes.compare else {}),
        rows_read=READ,
        rows=COUNT,
        rows_rejected=COUNT,
        rows_duplicate=COUNT,
        rows_filtered=COUNT if table.where else 0,
        rows_null_cursor=COUNT if named else 0,
        values_discarded=COUNT,
        cursor_min=":cursor_min" if named else None,
        cursor_max=":cursor_max" if named else None,
        business_date_min=":business_date_min" if dated else None,
        business_date_max=":business_date_max" if dated else None,
    )


def _compared(outline: Manifest, keys: LandedFile, primary_key: Sequence[str]) -> dict[str, Any]:
    columns = tuple(column for column in outline.columns if column.name in primary_key)
    return {"keys": keys, "keys_read": COUNT, "key_columns": columns}


class Words:
    """A load's statements as a plan shows them: with a word in place of each value that only a run knows."""

    def __init__(self, dialect: Dialect, order: LoadOrder, now: datetime) -> None:
        manifest, attempt = order.manifest, order.manifest.attempt
        values: Mapping[str, Value] = {
            ":now": now,
            ":started_at": datetime.fromisoformat(manifest.started_at),
            ":run_id": order.run_id,
            ":cursor_min": manifest.cursor_min,
            ":cursor_max": manifest.cursor_max,
            ":business_date_min": manifest.business_date_min,
            ":business_date_max": manifest.business_date_max,
        }
        turn = re.escape(f"{manifest.load_id} ") + r"\S+ [0-9a-f]{32}"
        data = rf"[^']*/{attempt}/data/[^']*"
        patterns = [
            (rf"'{turn}'", ":turn"),
            *((re.escape(dialect.literal(value)), word) for word, value in values.items() if value is not None),
            (f"{READ}|{COUNT}", ":count"),
            (rf"{re.escape(dialect.type(UNKNOWN))}|{re.escape(str(UNKNOWN))}", ":type"),
            (rf"'(file://)?{data}'(?:, '{data}')*", r"'\1landing/data/*.parquet'"),
            (rf"'(file://)?[^']*/{attempt}/", r"'\1landing/"),
            (rf"(?i)(staged)_\w+?_{attempt}_[0-9a-f]{{8}}", r"\1"),
            (f"_{attempt}", ""),
        ]
        self._patterns = [(re.compile(pattern), word) for pattern, word in patterns]

    def of(self, statement: str) -> str:
        """Return a statement with words for what only a run knows."""
        for pattern, word in self._patterns:
            statement = pattern.sub(word, statement)
        return statement


class Script:
    """The statements that were sent for an order, and the answers to them; what a lookup finds is the warehouse's."""

    def __init__(self, dialect: Dialect, order: LoadOrder) -> None:
        self.order = order
        self._dialect = dialect
        self._sent: list[str] = []

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """The table's columns: none before it is created."""
        created = f" TABLE IF NOT EXISTS {self.order.target.sql(self._dialect)} ("
        there = any(created in statement for statement in self._sent)
        return {**self.order.landed_columns, **self.order.own_columns} if there else {}

    def answer(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """Keep a statement and return the rows of its answer: of DML, how many it changed."""
        self._sent.append(statement)
        kind = statement.partition(" ")[0]
        if kind == "SELECT" and self._asks_for_loads(statement):
            return [(0,)] if statement.startswith("SELECT count(") else []
        return [(COUNT, COUNT)] if kind in ("SELECT", "INSERT", "UPDATE", "DELETE") else []

    def _asks_for_loads(self, statement: str) -> bool:
        logs = (audit.relation("loads"), ledger.FILES)
        return any(f" {log.sql(self._dialect)} " in statement for log in logs)

    def steps(self) -> list[Step]:
        """Return what was sent, in words and in order."""
        words = Words(self._dialect, self.order, NOW)
        return [Step(getattr(statement, "purpose", ""), words.of(statement)) for statement in self._sent]


class Recorder(Warehouse):
    """What every recording warehouse has: an order's script, its own clock, and a landing that nothing is read of."""

    _prepared = True
    script: Script

    def now(self) -> datetime:  # noqa: D102
        return NOW

    def moment_after(self, newest: str) -> datetime:  # noqa: ARG002, D102
        return NOW

    @contextmanager
    def landed_files(self, order: LoadOrder) -> Iterator[Path]:  # noqa: ARG002, D102
        yield FOLDER


def record(warehouse: Recorder) -> list[Step]:
    """Return what a load of the recorder's order sends."""
    warehouse.load(warehouse.script.order)
    return warehouse.script.steps()
