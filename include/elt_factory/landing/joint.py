"""The landings of a load's parts become one landing, which is loaded, kept and removed as any other.

A part lands below the attempt of its load, in a folder of its own try: `<attempt>/<try>/`. Its files stay where they
are, and the manifest of the load names them. Written again are only the rejects, the entries for the ledger of files,
and rows of parts that do not fit together: a column that one of them lacks, a key that two of them have.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.deletes import DELETED_AT
from elt_factory.config.models.table import Table
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import AccountingError, BadDataError, LandingChangedError, LandingError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, identifier
from elt_factory.landing import contract
from elt_factory.landing.checksums import proven
from elt_factory.landing.columns_of_parts import Columns, aligned, columns_of
from elt_factory.landing.cursor_order import another_order, have_another_order, is_number_of_api
from elt_factory.landing.direct import write_parts
from elt_factory.landing.land import PARTS, landed_files, with_etags
from elt_factory.landing.manifest import (
    Forgotten,
    LandedColumn,
    LandedFile,
    Manifest,
    Owner,
    check_files,
    exchange_manifest,
    parse_manifest,
    read_manifest,
)
from elt_factory.landing.places import Place
from elt_factory.landing.schema import KnownTable, check_width
from elt_factory.landing.scratch import scratch

if TYPE_CHECKING:
    import duckdb

_JOINED = "joined"
_SUMS = (
    "rows_read",
    "rows",
    "rows_rejected",
    "rows_duplicate",
    "rows_filtered",
    "values_discarded",
    "rows_null_cursor",
)


@dataclass(frozen=True)
class Joining:
    """What the parts of a load are joined with: the place of the load, whose it is, its table, scratch space.

    `existing` are the columns that the table had when the load was divided; `knew_files` says that files of it were
    loaded before. `before` is the manifest that was there before it was asked which attempts have landed the parts: who
    asks later knows of no older ones, so that the one that is written in its place is never of older parts.
    """

    place: Place
    owner: Owner
    table: Table
    workdir: Path
    log: Callable[[str], None]
    existing: Mapping[str, ColumnType] | None = None
    knew_files: bool = False
    before: Manifest | None = None

    @property
    def label(self) -> str:
        """source.table, for messages."""
        return f"{self.owner.source}.{self.owner.table}"

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """The columns by which rows of different parts may be versions of one row; none where they cannot be."""
        if self.table.parts_by_key:
            return ()
        # of rows that are appended, the key is that of their file
        alone = self.table.of_files and self.table.write_disposition == "append" and not self.table.incremental
        return () if alone else self.table.version_key


def join_parts(joining: Joining, attempts: Sequence[str]) -> Manifest:
    """Make one landing out of the parts that these attempts have landed, in the order of the parts.

    A try after one that has made it already finds it as it is, also where records were erased from it meanwhile.

    Raises:
        LandingError: a part is missing, damaged or another load's.
        BadDataError: every file is empty, or all records of one are rejected.
        ContractError: two parts have a column in types that do not fit together, or all have more than may be.
        AccountingError: the rows of the parts are not those of the whole.
        LandingChangedError: another task has joined others meanwhile, or records were erased from them.
    """
    place, owner = joining.place, joining.owner
    if known := _joined_before(joining, attempts):
        return known
    found = [_part(place, owner, attempt) for attempt in attempts]
    # not the name of a part's try: what a killed join has left may be removed by whatever cleans the landing
    name = f"{owner.attempt}/{_JOINED}-{uuid.uuid4().hex[:12]}"
    with (
        scratch(joining.workdir, owner.attempt, joining.workdir / "staged") as connection,
        place.writing(name, joining.workdir) as folder,
    ):
        manifest = _joined(_Work(joining, connection, folder, name), found)
    _check(joining, manifest)
    manifest = with_etags(place, replace(manifest, parts=tuple(attempts)))
    try:
        exchange_manifest(place, joining.before, manifest)
    except LandingChangedError:
        if known := _joined_before(joining, attempts):
            return known
        text = f"{joining.label}: another task has joined the parts of this load meanwhile, or records were erased"
        raise LandingChangedError(f"{text}; a retry looks again") from None
    return manifest


def _joined_before(joining: Joining, attempts: Sequence[str]) -> Manifest | None:
    """Return the landing of these parts where it is made already."""
    with suppress(LandingError):  # it is not there, or damaged: the parts are there to make it again
        known = read_manifest(joining.place, joining.owner)
        if known.parts == tuple(attempts):
            return known
    return None


def _part(place: Place, owner: Owner, attempt: str) -> Manifest:
    """Return the manifest of a part, whose files are there."""
    manifest = parse_manifest(place.below(attempt))
    if manifest.owner != replace(owner, attempt=attempt) or not attempt.startswith(f"{owner.attempt}/"):
        raise LandingError(f"landing {place} belongs to another owner: {manifest.owner}; clear the task split")
    check_files(place, manifest)
    return manifest


@dataclass(frozen=True)
class _Work:
    joining: Joining
    connection: duckdb.DuckDBPyConnection
    folder: Path
    name: str

    def landed(self, written: Sequence[Sequence[Any]]) -> tuple[LandedFile, ...]:
        return landed_files(written, self.folder, self.name)

    @contextmanager
    def at_hand(self, files: Sequence[LandedFile]) -> Iterator[list[Path]]:
        """Provide files of the landing on this machine; what was written here has not gone up yet."""
        new = {file.path: self.folder / file.path.removeprefix(f"{self.name}/") for file in files}
        old = [file for file in files if not file.path.startswith(f"{self.name}/")]
        with proven(self.joining.place, old) as landing:
            there = {file.path: landing / file.path for file in old}
            yield [{**new, **there}[file.path] for file in files]

    def together(self, files: Sequence[LandedFile | None], select: str, name: str) -> LandedFile | None:
        """Write small files of the parts as one; `select` is of what, FROM follows."""
        there = [file for file in files if file]
        if not there:
            return None
        with proven(self.joining.place, there) as landing:
            query = f"{select} FROM {_parquet([landing / file.path for file in there])}"
            copy = contract.copy_whole(query, str(self.folder / name))
            return self.landed(self.connection.execute(copy).fetchall())[0]


def _joined(work: _Work, found: Sequence[Manifest]) -> Manifest:
    columns = columns_of(work.joining.label, work.joining.place, work.connection, found)
    _check_width(work.joining, columns)
    _check_order(work.joining, found)
    files = [file for part in found for file in _files_of(work, part, columns)]
    files, repeated = _newest(work, files)
    first, total = found[0], {name: sum(getattr(part, name) for part in found) for name in _SUMS}
    total["rows"] -= repeated
    total["rows_duplicate"] += repeated
    if not (total["rows_read"] or columns or work.joining.knew_files) and any(part.ledger for part in found):
        raise BadDataError(f"{work.joining.label}: nothing to load: every file is empty")
    rejects = work.together([part.rejects for part in found], _REJECTS, "rejects.parquet")
    ledger = work.together([part.ledger for part in found], "SELECT *", "files.parquet")
    _refuse_unread_files(work, ledger, rejects)
    kinds = {name: str(kind) for name, kind in columns.items()}
    forms = {column.name: column.form for part in found for column in part.columns if column.form}
    drift = (replace(one, type=kinds.get(one.column, one.type)) for part in found for one in part.drift)
    return replace(
        first,
        **total,
        attempt=work.joining.owner.attempt,
        columns=tuple(LandedColumn(name, kind, forms.get(name)) for name, kind in kinds.items()),
        files=tuple(files),
        rejects=rejects,
        ledger=ledger,
        drift=tuple(dict.fromkeys(drift)),
        forgotten=_forgotten(found),
        cursor_type=kinds.get(first.cursor_column or ""),
        **_ends(found, "cursor", kinds.get(first.cursor_column or "", "")),
        **_ends(found, "business_date", kinds.get(work.joining.table.business_date or "", "")),
    )


# rows of every part are counted from 1 there
_REJECTS = (
    "SELECT * REPLACE (row_number() OVER (ORDER BY file_index, ordinal) AS ordinal, CASE WHEN place IS NOT NULL THEN "
    "row_number() OVER (ORDER BY file_index, place) END AS place)"
)


def _check_width(joining: Joining, columns: Columns) -> None:
    """Refuse more columns than the table may have, of which each part has found some."""
    table = joining.table
    found = [name for name in columns if name not in (table.column_of_file, DELETED_AT)]
    check_width(KnownTable(joining.owner.source, joining.owner.table, table, joining.existing), found)


def _check_order(joining: Joining, found: Sequence[Manifest]) -> None:
    """Refuse numbers in texts as the cursor of an API where those of the parts have several lengths."""
    texts = [end for part in found if part.cursor_type == "text" for end in (part.cursor_min, part.cursor_max) if end]
    if is_number_of_api(joining.table) and have_another_order(texts):
        raise another_order(joining.label, joining.owner.table, found[0].cursor_column)


def _refuse_unread_files(work: _Work, ledger: LandedFile | None, rejects: LandedFile | None) -> None:
    """Refuse a file all of whose records are rejected, next to others that are read: it is written in another way.

    A part that has only such files does not see it, since where nothing is good at all the load keeps the rejects.
    """
    if ledger is None or rejects is None:
        return
    with work.at_hand([ledger, rejects]) as (files, rejected):
        found = work.connection.execute(
            f"SELECT name, rows_rejected, (SELECT min(reason) FROM {_parquet([rejected])} WHERE file = l.name) "
            f"FROM {_parquet([files])} AS l WHERE rows_loaded = 0 AND rows_rejected > 1 "
            f"AND EXISTS (FROM {_parquet([files])} WHERE rows_loaded > 0) ORDER BY name LIMIT 1"
        ).fetchall()
    for name, lines, reason in found:
        raise BadDataError(
            f"{work.joining.label}: {name}: all of its {lines} records are rejected; check the format. "
            f"One of them: {reason}"
        )


def _files_of(work: _Work, part: Manifest, columns: Columns) -> tuple[LandedFile, ...]:
    """Return the files of a part, written again where its columns are not those of the whole."""
    select = aligned(part, columns)
    if select is None or not part.files:
        return part.files
    with proven(work.joining.place, part.files) as landing:
        query = f"{select} FROM {_parquet([landing / file.path for file in part.files])}"
        folder = work.folder / f"{PARTS}-{part.attempt.rpartition('/')[2]}"
        return work.landed(write_parts(work.connection, query, folder))


def _newest(work: _Work, files: list[LandedFile]) -> tuple[list[LandedFile], int]:
    """Return files with one row for each key, and how many others there were: those of the greatest cursor stay.

    Where that does not decide, the later part does, as the later row does within one.
    """
    table, keys = work.joining.table, ", ".join(map(identifier, work.joining.shared_keys))
    if not keys or len({file.path.rpartition("/")[0] for file in files}) < 2:  # noqa: PLR2004 - all of one part
        return files, 0
    with work.at_hand(files) as paths:
        rows = _parquet(paths)
        again = f"SELECT count(*) AS n FROM {rows} GROUP BY {keys} HAVING count(*) > 1"
        count = f"SELECT coalesce(sum(n - 1), 0) FROM ({again})"
        repeated = int(work.connection.execute(count).fetchall()[0][0])
        if not repeated:
            return files, 0
        work.joining.log(f"{work.joining.label}: {repeated:,} rows have a key that another part has, too")
        newest = [f"{identifier(table.incremental.cursor)} DESC NULLS LAST"] if table.incremental else []
        order = ", ".join([*newest, "file_index DESC"])
        query = f"SELECT * FROM {rows} QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1"
        return [*work.landed(write_parts(work.connection, query, work.folder / PARTS))], repeated


def _forgotten(found: Sequence[Manifest]) -> tuple[Forgotten, ...]:
    """Return what is erased from every part: of a key that one of them may still have the load must know."""
    rows = Counter({one.sha256: 0 for one in found[0].forgotten})
    for part in found:
        rows = Counter({one.sha256: rows[one.sha256] + one.rows for one in part.forgotten if one.sha256 in rows})
    return tuple(Forgotten(sha256, count) for sha256, count in rows.items())


def _ends(found: Sequence[Manifest], of: str, kind: str) -> dict[str, Any]:
    """Return the least and the greatest value that a column has in any part, as the manifest keeps them."""
    order = _ORDERS.get(kind.partition("(")[0], str)
    low = [value for part in found if (value := getattr(part, f"{of}_min")) is not None]
    high = [value for part in found if (value := getattr(part, f"{of}_max")) is not None]
    return {f"{of}_min": min(low, key=order, default=None), f"{of}_max": max(high, key=order, default=None)}


def _of_float(text: str) -> tuple[bool, float]:
    """Return by what floats are put in order: NaN is the greatest, as for DuckDB."""
    value = float(text)
    return math.isnan(value), 0.0 if math.isnan(value) else value


_ORDERS: Mapping[str, Callable[[str], Any]] = {"integer": Decimal, "decimal": Decimal, "float": _of_float}


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet({file_list(map(str, files))}, {LITERAL_PATHS}, union_by_name = true)"


def _check(joining: Joining, manifest: Manifest) -> None:
    """Refuse a row that was lost between the parts and the whole."""
    accounted = manifest.rows + manifest.rows_rejected + manifest.rows_duplicate + manifest.rows_filtered
    in_files = sum(file.rows for file in manifest.files)
    rejects = manifest.rejects.rows if manifest.rejects else 0
    if (manifest.rows_read, manifest.rows, manifest.rows_rejected) != (accounted, in_files, rejects):
        raise AccountingError(
            f"{joining.label}: the parts have read {manifest.rows_read} rows, and account for {accounted}: "
            f"{in_files} of {manifest.rows} are in files, and {rejects} of {manifest.rows_rejected} rejected; "
            "nothing was loaded"
        )
