"""One landing: raw records through the contract into Parquet parts, a rejects file and, last, the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.table import source_name
from elt_factory.core.amount import amount
from elt_factory.core.disk import naming_a_full_disk
from elt_factory.core.failures import AccountingError, ContractError
from elt_factory.core.sql_text import text_literal
from elt_factory.extract.growing import Growing
from elt_factory.extract.request import Spool
from elt_factory.extract.unchanged import check_unchanged
from elt_factory.landing import contract, staging
from elt_factory.landing.all_keys import known_of_keys
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.checksums import sha256_of_each
from elt_factory.landing.csv_records import measured
from elt_factory.landing.cursor_order import another_order, is_number_of_api
from elt_factory.landing.delivered import copy_ledger, note_hashes, refuse_unread_files
from elt_factory.landing.direct import Parts, write_parts
from elt_factory.landing.duckdb_errors import named_errors
from elt_factory.landing.following import Follower
from elt_factory.landing.key_forms import with_forms
from elt_factory.landing.manifest import Drift, LandedColumn, LandedFile, Manifest, write_manifest
from elt_factory.landing.outline import outline, reads_after
from elt_factory.landing.places import LocalPlace, Place
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.quarantine import REASON
from elt_factory.landing.reading import ReadRecords, finish_growing, stage_spool
from elt_factory.landing.rejected import copy_rejects
from elt_factory.landing.repeated import has_repeated_keys
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.landing.scratch import confine, doubt_statistics, scratch
from elt_factory.landing.tally import Tally, tallied
from elt_factory.landing.widening import grown_numbers

if TYPE_CHECKING:
    import duckdb

PARTS = "data"


def land(request: LandRequest) -> Manifest:
    """Run the contract over the spooled records and write the landing.

    Raises:
        ContractError: the data break the contract as a whole.
        BadDataError: the records cannot be parsed at all.
        AccountingError: the records that were read are not all accounted for.
        LandingError: this machine's memory did not suffice, or its disk does not work.
        DiskFullError: the disk of the scratch folder or of the landing is full.
    """
    with _naming_a_full_disk(request):
        with _scratch(request) as connection, _folder(request) as folder, named_errors(request.known):
            manifest = _land(request, connection, folder)
        return _published(request, manifest)


def land_while_reading(request: LandRequest, read: Callable[[Growing], Spool]) -> Manifest:
    """Read records and land them; what is read already goes through the contract where that is possible.

    Args:
        request: What to land; its spool is the one that is read.
        read: Reads the records, and tells how far it has come.

    Raises as `read` and `land` do.
    """
    with _naming_a_full_disk(request):
        with ExitStack() as stack:
            enter = stack.enter_context
            follower = Follower(request, lambda: enter(_scratch(request)), lambda: enter(_folder(request)), PARTS)
            request = replace(request, spool=follower.follow(read))
            connection = follower.connection or enter(_scratch(request))
            folder = follower.made or enter(_folder(request))
            with named_errors(request.known):
                manifest = _land(request, connection, folder, follower.read)
        return _published(request, manifest)


def _naming_a_full_disk(request: LandRequest) -> AbstractContextManager[None]:
    landing = [request.place.folder] if isinstance(request.place, LocalPlace) else []
    return naming_a_full_disk(request.known.label, [request.workdir, *landing])


def _scratch(request: LandRequest) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    return scratch(request.workdir, request.attempt.own_name, request.staged)


def _folder(request: LandRequest) -> AbstractContextManager[Path]:
    """Provide the folder of the attempt, which counts when the block ends well."""
    return request.place.writing(request.attempt.name, request.workdir)


def _land(
    request: LandRequest, connection: duckdb.DuckDBPyConnection, folder: Path, followed: ReadRecords | None = None
) -> Manifest:
    attempt = request.attempt
    if _is_written_by_others(request.spool):
        doubt_statistics(connection)
    if request.known.has_sql:
        confine(connection, [request.workdir, folder, *_folders_of(request.spool)])
    try:
        staged = _stage(connection, request, folder / PARTS, followed)
        note_hashes(connection, staged.spool, request.workdir, request.known.label)
    finally:
        for source in request.spool.sources:
            source.let_go()
        # also where it could not be read: a file that was being written looks broken
        check_unchanged(request.spool.sources)
    if request.replays is None:
        filtered = staging.filtered_files(connection, request.staged, staged.plan)
        refuse_unread_files(connection, request.known, staged.spool, filtered)
    _refuse_if_frozen(connection, request.known)
    files = _write_parts(connection, staged, folder, attempt)
    rejects = _write_rejects(connection, staged, folder, attempt)
    ledger = _write_ledger(connection, staged, folder, attempt)
    manifest = _manifest(connection, request, staged, _Written(files, rejects, ledger), attempt)
    return _with_keys(connection, request, manifest, folder) if request.spool.keys else manifest


def _folders_of(spool: Spool) -> Iterator[Path]:
    keys = spool.keys.files if spool.keys else ()
    rejects = [spool.rejects] if spool.rejects else []
    return (file.parent for file in (*spool.files, *keys, *rejects))


def _published(request: LandRequest, manifest: Manifest) -> Manifest:
    """Write the manifest, now that all of its files are there; without one nothing of a landing counts."""
    manifest = with_etags(request.place, manifest)
    # other attempts of this load are not touched: a load may be reading one of them
    write_manifest(request.place, manifest)
    return manifest


def _is_written_by_others(spool: Spool) -> bool:
    """Whether its files have statistics that are not of this program, and may be wrong."""
    return spool.format == "parquet" and bool(spool.sources)


def with_etags(place: Place, manifest: Manifest) -> Manifest:
    """Return the manifest with what object storage calls the files that went up."""
    found = place.below(manifest.attempt).files()

    def known(file: LandedFile) -> LandedFile:
        entry = found.get(file.path.removeprefix(f"{manifest.attempt}/"))
        return replace(file, etag=entry.etag if entry else "")

    rejects = known(manifest.rejects) if manifest.rejects else None
    ledger = known(manifest.ledger) if manifest.ledger else None
    keys = known(manifest.keys) if manifest.keys else None
    return replace(manifest, files=tuple(map(known, manifest.files)), rejects=rejects, ledger=ledger, keys=keys)


@dataclass(frozen=True)
class _Staged:
    plan: ContractPlan
    drift: tuple[Drift, ...]
    spool: Spool  # as it was read at last
    tally: Tally
    duplicates: int
    filtered: int = 0
    parts: Parts = ()  # those that have the good rows already

    @property
    def rows_read(self) -> int:
        """All records that were read."""
        return self.filtered + self.tally.records


@dataclass(frozen=True)
class _Written:
    files: tuple[LandedFile, ...]
    rejects: LandedFile | None
    ledger: LandedFile | None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def rejected(self) -> int:
        return self.rejects.rows if self.rejects else 0


def _stage(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, parts: Path, followed: ReadRecords | None
) -> _Staged:
    """Make `staged` with every record that was read, good or not; the good ones may be in parts already."""
    request = replace(request, spool=measured(request.spool))
    read = finish_growing(connection, request, followed) if followed else None
    read = read or stage_spool(connection, request, parts)
    grown = grown_numbers(connection, request.known, read.plan)
    if grown:
        request.log(f"{request.known.label}: reading again with wider types for {', '.join(grown)}")
        request = replace(request, known=replace(request.known, grown=grown))
        read = stage_spool(connection, request, parts)
    if has_repeated_keys(connection, read.plan):
        request.log(f"{request.known.label}: some JSON objects repeat a key; reading again without them")
        request = replace(request, known=replace(request.known, single_keys=True))
        read = stage_spool(connection, request, parts)
    duplicates = _duplicates(connection, read.plan)
    if duplicates and read.parts:
        # which of them is the newest follows from their places
        staging.forget(parts)
        read = stage_spool(connection, request)
    _report_renamed(request, read.plan)
    filtered = staging.filtered_rows(connection, request.staged, read.plan)
    tally = tallied(connection, read.plan)
    _check_count(request, filtered + tally.records)
    if not (tally.records or read.plan.columns or request.known.existing):
        _report_no_table(request)
    return _Staged(read.plan, read.drift, read.spool, tally, duplicates, filtered, read.parts)


def _duplicates(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> int:
    has_keys = plan.primary_key and all(any(c.name == key for c in plan.columns) for key in plan.primary_key)
    return _one(connection, contract.duplicate_count(plan)) if has_keys else 0


def _check_count(request: LandRequest, staged: int) -> None:
    """Refuse a record that was lost on the way: the reader and the bytes of CSV have counts of their own."""
    for expected, where in ((request.spool.rows_read, "read from the source"), (request.spool.counted, "in the files")):
        if expected is not None and expected != staged:
            raise AccountingError(
                f"{request.known.label}: {expected} records were {where} but {staged} reached the contract; "
                "nothing was landed"
            )


def _report_renamed(request: LandRequest, plan: ContractPlan) -> None:
    for name in plan.raw_columns:
        if source_name(name) != name:
            request.log(
                f"{request.known.label}: the source's column {source_name(name)} is loaded as {name}: its name "
                "is reserved by ELT Factory"
            )


def _report_no_table(request: LandRequest) -> None:
    """Say that there will be no table: neither records, nor the source or the YAML, name a column of it."""
    request.log(
        f"{request.known.label}: no record has come and no column is known, so there is no table yet; hint: declare "
        "columns: where models or checks read the table before its first record"
    )


def _refuse_if_frozen(connection: duckdb.DuckDBPyConnection, known: KnownTable) -> None:
    if known.table.schema_contract != "freeze":
        return
    # a row that a check sets aside does not violate the schema
    broken = f"reason IS NOT NULL AND NOT starts_with(reason, {text_literal(REASON)})"
    bad = connection.execute(f"SELECT count(*), min(reason) FROM staged WHERE {broken}").fetchall()[0]
    if bad[0]:
        rows = amount(bad[0], "row violates", "rows violate")
        raise ContractError(f"{known.label}: schema_contract is freeze and {rows} it, for example: {bad[1]}")


def _write_parts(
    connection: duckdb.DuckDBPyConnection, staged: _Staged, folder: Path, attempt: Attempt
) -> tuple[LandedFile, ...]:
    plan = staged.plan
    if staged.parts:
        return landed_files(staged.parts, folder, attempt.name)
    if not plan.columns or not staged.tally.good:
        return ()
    select = contract.newest_rows(plan) if staged.duplicates else contract.good_rows(plan)
    return landed_files(write_parts(connection, select, folder / PARTS), folder, attempt.name)


def _write_rejects(
    connection: duckdb.DuckDBPyConnection, staged: _Staged, folder: Path, attempt: Attempt
) -> LandedFile | None:
    if not staged.tally.rejected:
        return None
    written = connection.execute(copy_rejects(staged.plan, str(folder / "rejects.parquet"))).fetchall()
    return landed_files(written, folder, attempt.name)[0]


def _write_ledger(
    connection: duckdb.DuckDBPyConnection, staged: _Staged, folder: Path, attempt: Attempt
) -> LandedFile | None:
    if not staged.plan.by_file:
        return None
    written = connection.execute(copy_ledger(str(folder / "files.parquet"))).fetchall()
    return landed_files(written, folder, attempt.name)[0]


def _with_keys(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, manifest: Manifest, folder: Path
) -> Manifest:
    """Put the keys of all rows through the contract, as the rows went, and land those that are good."""
    spool = measured(request.spool.keys) if request.spool.keys else Spool("csv", ())
    keys = replace(request, spool=spool, known=known_of_keys(request.known, manifest.columns))
    plan = stage_spool(connection, keys).plan
    read = _one(connection, "SELECT count(*) FROM staged")
    _check_count(keys, read)
    bad = _one(connection, "SELECT count(*) FROM staged WHERE reason IS NOT NULL")
    manifest = replace(manifest, keys_read=read, keys_rejected=bad)
    if read == bad:
        return manifest
    copy = contract.copy_whole(contract.good_rows(plan), str(folder / "keys.parquet"))
    landed = landed_files(connection.execute(copy).fetchall(), folder, request.attempt.name)[0]
    columns = tuple(LandedColumn(column.name, str(column.landed_type)) for column in plan.columns)
    formed = with_forms(columns, request.known.table, request.spool.forms)
    return replace(manifest, keys=landed, key_columns=formed)


def landed_files(rows: Sequence[Sequence[Any]], folder: Path, attempt: str) -> tuple[LandedFile, ...]:
    """Files of which DuckDB says the path and the number of rows."""
    paths = [Path(row[0]) for row in rows]
    return tuple(
        LandedFile(f"{attempt}/{path.relative_to(folder).as_posix()}", int(row[1]), path.stat().st_size, sha256)
        for row, path, sha256 in zip(rows, paths, sha256_of_each(paths), strict=True)
    )


def _manifest(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, staged: _Staged, written: _Written, attempt: Attempt
) -> Manifest:
    _check_identity(request.known, staged, written)
    table, plan = request.known.table, staged.plan
    cursor_bounds = _bounds(connection, plan, table.incremental.cursor if table.incremental else None)
    _check_order(connection, request, plan)
    business_bounds = _bounds(connection, plan, table.business_date)
    known = outline(request.known, plan, request.window, request.load_id, attempt)
    return replace(
        reads_after(known, request.cursor_after),
        columns=with_forms(known.columns, request.known.table, request.spool.forms),
        files=written.files,
        rejects=written.rejects,
        ledger=written.ledger,
        rows_read=staged.rows_read,
        rows=written.rows,
        rows_rejected=written.rejected,
        rows_duplicate=staged.duplicates,
        rows_filtered=staged.filtered,
        values_discarded=staged.tally.discarded,
        drift=staged.drift,
        cursor_min=cursor_bounds[0],
        cursor_max=cursor_bounds[1],
        business_date_min=business_bounds[0],
        business_date_max=business_bounds[1],
        project=request.project,
        delta_token=request.spool.token,
        delta_token_after=request.token_after,
        rows_null_cursor=_null_cursors(connection, request, plan),
        replays=request.replays,
    )


def _null_cursors(connection: duckdb.DuckDBPyConnection, request: LandRequest, plan: ContractPlan) -> int:
    """How many rows have no cursor value, as the source counts them, or of those that came."""
    table = request.known.table
    if table.incremental is None:
        return 0
    found = request.spool.null_cursors
    if found is None:
        # a cursor that is not a column of the plan has no value in any row
        found = _one(connection, contract.null_cursors(plan))
    if found and table.null_cursor == "fail":
        rows = amount(found, "row has", "rows have")
        raise ContractError(
            f"{request.known.label}: {rows} no value in the cursor {table.incremental.cursor}, and "
            "null_cursor is fail; nothing was landed"
        )
    return found


def _check_identity(known: KnownTable, staged: _Staged, written: _Written) -> None:
    if staged.rows_read != written.rows + written.rejected + staged.duplicates + staged.filtered:
        raise AccountingError(
            f"{known.label}: {staged.rows_read} rows read, but {written.rows} landed + {written.rejected} rejected + "
            f"{staged.duplicates} duplicates + {staged.filtered} filtered; nothing was landed"
        )


def _bounds(
    connection: duckdb.DuckDBPyConnection, plan: ContractPlan, column: str | None
) -> tuple[str | None, str | None]:
    if column is None or all(planned.name != column for planned in plan.columns):
        return None, None
    low, high = connection.execute(contract.bounds(plan, column)).fetchall()[0]
    return low, high


def _check_order(connection: duckdb.DuckDBPyConnection, request: LandRequest, plan: ContractPlan) -> None:
    """Refuse numbers in texts as the cursor of an API, whose order is another one: after 9 no 10 would be asked for.

    Texts of the same length, such as ids of 19 digits, have the order of their numbers.
    """
    known, table, name = request.known, request.known.table, plan.cursor
    if not is_number_of_api(table) or name is None or plan.landed_as(name) != "text":
        return
    numbers, low, high = connection.execute(contract.numbers_in_text(plan, name)).fetchall()[0]
    lengths = {low, high, *([len(request.cursor_after)] if request.cursor_after else [])}
    if numbers and len(lengths) > 1:
        raise another_order(known.label, known.table_name, name)


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0])
