"""The ledger of files, `_elt.files`: what each file delivered, written in the transaction that wrote its rows.

Rows are only ever added, all of one commit with its number among those of the table. The newest one of a name says what
the table has of that file. A row without a name says that the table was begun from nothing, by a full refresh or a load
that replaces everything: what was noted before does not count any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import Value
from elt_factory.core.window import Window
from elt_factory.extract.request import KnownFile, Ledger
from elt_factory.landing.file_names import FILE_ID
from elt_factory.landing.manifest import Manifest
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Staged, Warehouse
    from elt_factory.warehouse.order import LoadOrder

FILES = audit.relation("files")
# of the landed part
STAGED: dict[str, ColumnType] = {
    name: ColumnType.parse(audit.TABLES["files"][name])
    for name in (
        "file_id",
        "name",
        "bytes",
        "modified_at",
        "content_hash",
        "seen_at",
        "rows_loaded",
        "rows_rejected",
    )
}
OWN_COLUMN = {FILE_ID: ColumnType("text")}


@dataclass(frozen=True)
class Part(Relation):
    """The rows of a relation for which a condition holds."""

    where: str = ""

    def sql(self, dialect: Dialect) -> str:
        """Return a query in brackets, for the place of a name."""
        return f"(SELECT * FROM {super().sql(dialect)} WHERE {self.where})"


def ledger_of(warehouse: Warehouse, target: Relation, spec: Table) -> Ledger | None:
    """Return what a load has to know of the files that were loaded before.

    None where it reads all that its pattern means. None of them count where the table is gone.
    """
    if not spec.takes_what_is_new:
        return None
    return known_files(warehouse, target.schema, target.name) if warehouse.columns(target) is not None else Ledger()


def known_files(warehouse: Warehouse, source: str, table: str) -> Ledger:
    """Return what was loaded of a table's files, and for which windows."""
    if warehouse.columns(FILES) is None:
        return Ledger()
    d = warehouse.dialect
    found = warehouse.query(newest_files(d, source, table)).rows
    files = {name: KnownFile(int(size), at, content, load) for name, size, at, content, load in found}
    return Ledger(files, merged(Window(*row) for row in warehouse.query(loaded_windows(d, source, table)).rows))


def files_of_load(warehouse: Warehouse, source: str, table: str, load_id: str) -> Ledger:
    """Return the files that the newest commit of a load has read."""
    if warehouse.columns(FILES) is None:
        return Ledger()
    d = warehouse.dialect
    mine = f"{audit.of_table(d, source, table)} AND {d.name('load_id')} = {d.literal(load_id)}"
    newest = f"SELECT max({d.name('commit_number')}) FROM {FILES.sql(d)} WHERE {mine}"
    names = d.names(("name", "bytes", "modified_at", "content_hash"))
    found = warehouse.query(
        f"SELECT {names} FROM {FILES.sql(d)} "
        f"WHERE {mine} AND {d.name('name')} IS NOT NULL AND {d.name('commit_number')} = ({newest})"
    ).rows
    return Ledger({name: KnownFile(int(size), at, content, load_id) for name, size, at, content in found})


def merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Windows that touch or overlap as one, in order."""
    joined: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return tuple(joined)


def newest_files(dialect: Dialect, source: str, table: str) -> str:
    """SELECT of each file's newest entry: name, bytes, modification time, hash and load."""
    names = ("name", "bytes", "modified_at", "content_hash", "load_id")
    return f"SELECT {dialect.names(names)} FROM {_newest(dialect, source, table)} AS f"


def loaded_windows(dialect: Dialect, source: str, table: str) -> str:
    """SELECT of the windows of the loads that are in the ledger."""
    d = dialect
    return (
        f"SELECT DISTINCT {d.names(('window_start', 'window_end'))} FROM {FILES.sql(d)} "
        f"WHERE {_counting(d, source, table)}"
    )


def without_overtaken(warehouse: Warehouse, order: LoadOrder, staged: Staged) -> Staged:
    """Return what is staged, without the files of which another load has committed what it saw later and otherwise."""
    if staged.ledger is None or order.starts_over:
        return staged
    d, manifest = warehouse.dialect, order.manifest
    overtaken = [str(row[0]) for row in warehouse.query(overtaken_files(d, staged.ledger, manifest)).rows]
    if not overtaken:
        return staged
    others = f"NOT IN ({', '.join(map(d.literal, overtaken))})"
    ledger = Part(staged.ledger.schema, staged.ledger.name, f"{d.name('file_id')} {others}")
    if staged.rows is None:
        return replace(staged, ledger=ledger)
    rows = Part(staged.rows.schema, staged.rows.name, f"{d.name(FILE_ID)} {others}")
    left = int(warehouse.query(f"SELECT count(*) FROM {rows.sql(d)} AS s").rows[0][0])
    return replace(staged, rows=rows, row_count=left, ledger=ledger)


def overtaken_files(dialect: Dialect, staged: Relation, manifest: Manifest) -> Statement:
    """SELECT of the staged files of which the ledger has another content that was seen later."""
    d = dialect
    newest = _newest(d, manifest.source, manifest.table)
    return Statement(
        f"SELECT s.{d.name('file_id')} FROM {staged.sql(d)} AS s JOIN {newest} AS f "
        f"ON f.{d.name('file_id')} = s.{d.name('file_id')} WHERE f.{d.name('seen_at')} > s.{d.name('seen_at')} "
        f"AND f.{d.name('content_hash')} <> s.{d.name('content_hash')}",
        "leave out files that another load has read later, with another content",
    )


def delete_delivered(dialect: Dialect, target: Relation, staged: Relation) -> Statement:
    """DELETE of the rows that the staged files have delivered before, whichever load wrote them."""
    d = dialect
    return Statement(
        f"DELETE FROM {target.sql(d)} WHERE {d.name(FILE_ID)} IN "
        f"(SELECT s.{d.name('file_id')} FROM {staged.sql(d)} AS s)",
        "delete what the files delivered before, whichever load wrote it",
    )


def insert_files(dialect: Dialect, staged: Relation, order: LoadOrder, loaded_at: datetime) -> Statement:
    """INSERT of what was delivered, as one commit of the table; a load that starts over says so first."""
    d, manifest = dialect, order.manifest
    of_load: dict[str, Value] = {
        "source": manifest.source,
        "table_name": manifest.table,
        "load_id": manifest.load_id,
        "window_start": datetime.fromisoformat(manifest.window_start),
        "window_end": datetime.fromisoformat(manifest.window_end),
        "loaded_at": loaded_at,
    }
    mine, last = audit.of_table(d, manifest.source, manifest.table), f"max(c.{d.name('commit_number')})"
    number = f"(SELECT coalesce({last}, 0) + 1 FROM {FILES.sql(d)} AS c WHERE {mine})"
    names = tuple(audit.TABLES["files"])
    given = {**{name: d.literal(value) for name, value in of_load.items()}, "commit_number": number}
    each = [given.get(name, f"s.{d.name(name)}") for name in names]
    select = f"SELECT {', '.join(each)} FROM {staged.sql(d)} AS s"
    if order.starts_over:
        kinds = audit.columns("files")
        started = {"seen_at": d.literal(datetime.fromisoformat(manifest.started_at))}
        nothing = [({**started, **given}).get(n, f"CAST(NULL AS {d.type(kinds[n])})") for n in names]
        select = f"SELECT {', '.join(nothing)} UNION ALL {select}"
    return Statement(
        f"INSERT INTO {FILES.sql(d)} ({d.names(names)}) {select}", "the ledger: what each file delivered; append-only"
    )


def _newest(dialect: Dialect, source: str, table: str) -> str:
    """Return the newest entry of each file of a table, as a query in brackets."""
    d = dialect
    return (
        f"(SELECT * FROM {FILES.sql(d)} WHERE {_counting(d, source, table)} AND {d.name('name')} IS NOT NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {d.name('name')} ORDER BY {d.name('commit_number')} DESC) = 1)"
    )


def _counting(dialect: Dialect, source: str, table: str) -> str:
    """Return the condition for entries since the table was last begun from nothing."""
    d, mine = dialect, audit.of_table(dialect, source, table)
    return (
        f"{mine} AND {d.name('commit_number')} >= (SELECT coalesce(max({d.name('commit_number')}), 0) "
        f"FROM {FILES.sql(d)} WHERE {mine} AND {d.name('name')} IS NULL)"
    )
