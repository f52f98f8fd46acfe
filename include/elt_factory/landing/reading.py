"""The records of a spool, read through the contract into `staged`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.models.table import loaded_name
from elt_factory.core.failures import BadDataError, ContractError
from elt_factory.extract.growing import Growing
from elt_factory.extract.line_looks import LONG
from elt_factory.extract.request import NOTHING_READ, Spool
from elt_factory.landing import contract, csv_sql, limits, memory, staging
from elt_factory.landing.csv_files import comes_from_others
from elt_factory.landing.csv_sifting import forget_broken_lines, has_broken_lines, sift_csv
from elt_factory.landing.delivered import file_id, note_delivered
from elt_factory.landing.direct import Parts, may_be_direct, stage_directly
from elt_factory.landing.first_look import NotPresumedError, presumed_columns
from elt_factory.landing.found import (
    Found,
    binary_columns,
    find_columns,
    nanosecond_columns,
    raw_relations,
    relation_by_form,
)
from elt_factory.landing.lines import (
    BATCH_BYTES,
    BROKEN_LINES,
    BrokenLinesError,
    Sizes,
    offer,
    offer_again,
)
from elt_factory.landing.manifest import Drift
from elt_factory.landing.numbers import Signs
from elt_factory.landing.outline import with_files
from elt_factory.landing.parquet_groups import in_groups
from elt_factory.landing.planned import ContractPlan, OnlyFile
from elt_factory.landing.reasons import refusals
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable, UnfitNameError, plan_contract
from elt_factory.landing.scratch import confine
from elt_factory.landing.sifting import sift
from elt_factory.landing.within import within_window

if TYPE_CHECKING:
    import duckdb

_GROWS = 8  # a value is longer once it is read: two bytes for one of latin-1, a number with an exponent written out
_SMALL = 256 * 1024
# bytes of a record: for longer ones the memory is divided when all are known
_LONGEST_FOLLOWED = {"ndjson": 256 * 1024, "csv": LONG}


@dataclass(frozen=True)
class ReadRecords:
    """The records behind `staged`: how they were planned, and the drift that was met.

    `spool` is what was read in place of the request's; `parts` are those of the landing that the good records are in
    already.
    """

    plan: ContractPlan
    drift: tuple[Drift, ...]
    spool: Spool
    parts: Parts = ()

    @property
    def part_files(self) -> list[str]:
        """The files of the parts."""
        return [part[0] for part in self.parts]


def stage_spool(connection: duckdb.DuckDBPyConnection, request: LandRequest, parts: Path | None = None) -> ReadRecords:
    """Make `staged` of the records of a spool, and of the good ones parts of the landing where that is possible.

    Args:
        connection: The scratch database.
        request: What to land.
        parts: Where the parts may be written; None where they are not to be written yet.
    """
    import duckdb

    spool = request.spool
    note_delivered(connection, spool, request.workdir)
    if not spool.files:
        plan, drift = plan_contract(request.known, {})
        plan = _of_spool(plan, request.known, spool)
        staging.stage_nothing(connection, plan)
        return ReadRecords(plan, drift, spool)
    if spool.format == "csv":
        spool = sift_csv(connection, spool, request.workdir)
        note_delivered(connection, spool, request.workdir)
    if spool.format != "ndjson":
        spool = in_groups(connection, spool, request.known.label)
        return _stage_files(connection, request, spool, parts)
    rejects = [spool.rejects] if spool.rejects else []
    with suppress(duckdb.InvalidInputException, UnfitNameError, BrokenLinesError):
        read = _stage_files(connection, request, spool, parts)
        _stage_broken(connection, request, read, rejects)
        return read
    request.log(f"{request.known.label}: some lines are not JSON objects; reading again without them")
    sifted = sift(connection, spool, request.workdir)
    note_delivered(connection, sifted.spool, request.workdir)
    read = _stage_files(connection, request, sifted.spool, parts)
    _stage_broken(connection, request, read, sifted.broken)
    return read


def _stage_broken(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, read: ReadRecords, broken: Sequence[Path]
) -> None:
    """Add what could not be read as records to `staged`."""
    if broken:
        offer(connection, broken, BROKEN_LINES)
        select = contract.broken_lines(read.plan)
        staging.stage_more(connection, request.staged, read.plan, select, read.part_files)


def _stage_files(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, parts: Path | None
) -> ReadRecords:
    import duckdb

    threads = useful_threads(spool)
    if spool.format == "csv" and spool.longest is not None:
        with suppress(duckdb.OutOfMemoryException):
            return _stage_within(
                connection, request, spool, _Means(threads, csv_sql.buffer_bytes(spool.longest), parts)
            )
        request.log(f"{request.known.label}: reading again with one thread and all of the memory limit")
        forget_broken_lines(connection)
        threads = 1
    return _stage_within(connection, request, spool, _Means(threads, 0, parts))


def useful_threads(spool: Spool) -> int | None:
    """How many threads help to read the files; None for all there are.

    Each small CSV file takes its thread to the locks of all, so that two threads need longer than one.
    """
    if is_one_batch(spool):
        return 1
    sizes = _file_sizes(spool)
    are_small = spool.format == "csv" and len(sizes) > 1 and sum(sizes) < _SMALL * len(sizes)
    return 1 if are_small else None


def is_one_batch(spool: Spool) -> bool:
    """Whether one thread is enough for all: it reads a batch alone, and to start others takes longer than their work.

    What is in Parquet may be many times larger than the file.
    """
    return spool.format != "parquet" and sum(_file_sizes(spool)) <= BATCH_BYTES


def _file_sizes(spool: Spool) -> list[int]:
    return [file.stat().st_size for file in spool.files]


@dataclass(frozen=True)
class _Means:
    """How files are read: with how many threads, with buffers of what size that DuckDB would keep, into what parts."""

    threads: int | None
    buffer: int
    parts: Path | None


def _stage_within(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, means: _Means
) -> ReadRecords:
    if means.parts:
        # of a first time that was not enough
        staging.forget(means.parts)
    sizes = _sizes(connection, spool)
    if spool.format == "ndjson":
        spool = replace(spool, longest=sizes.longest)
    memory.set_records(connection, sizes.longest, means.threads, means.buffer)
    memory.set_threads(connection, 1)
    # of long records DuckDB would gather a thousand for each thread, to see which are good
    direct = None if sizes.are_long else means.parts
    read = _stage_directly(connection, request, spool, direct) if direct else None
    read = read or _stage_with_care(connection, request, spool)
    memory.set_records(connection, sizes.longest, 1 if is_one_batch(spool) else None)
    memory.set_threads(connection, len(read.plan.columns))
    if spool.format == "csv":
        staging.stage_more(connection, request.staged, read.plan, contract.broken_csv(read.plan), read.part_files)
    return read


def _sizes(connection: duckdb.DuckDBPyConnection, spool: Spool) -> Sizes:
    if spool.format == "ndjson":
        return offer(connection, spool.files, seen=spool.seen)
    longest = spool.longest or 0
    return Sizes(longest, longest > LONG)


def stage_growing(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, growing: Growing, parts: Path
) -> ReadRecords | None:
    """Put the good ones of records that are still being read into parts; returns at the end of the read.

    None where the first records do not say enough of all, or others contradict. What is rejected is staged by
    `finish_growing`.

    Raises:
        duckdb.Error: the read has failed, or something else.
    """
    described, files = growing.described or NOTHING_READ, growing.files
    headers = described.headers and described.headers * len(files)
    longest = _LONGEST_FOLLOWED[described.format]
    spool = replace(described, files=files, headers=headers, longest=longest, growing=growing)
    memory.set_records(connection, longest)
    memory.set_threads(connection, 1)
    if request.known.has_sql:
        confine(connection, [request.workdir, parts.parent, *(file.parent for file in files)])
    with _unless_contradicted():
        return _in_parts(connection, request, spool, parts)
    return None


def finish_growing(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, read: ReadRecords
) -> ReadRecords | None:
    """Stage what is rejected of records that were put into parts while they were read, now that all are there.

    None where the spool is not as it was thought to be.
    """
    spool, longest = request.spool, read.spool.longest or 0
    if _form(spool) != _form(read.spool) or (spool.longest or 0) > longest:
        return None
    read = replace(read, spool=replace(spool, longest=spool.longest or longest))
    offer_again(connection, read.spool)
    with _unless_contradicted():
        _stage_rejected(connection, request, read)
        memory.set_threads(connection, len(read.plan.columns))
        # what DuckDB takes for broken is looked at with all that is there
        return None if has_broken_lines(connection) else read
    return None


def _form(spool: Spool) -> Spool:
    """Return what a spool says of the form of its records, with the one header of its files.

    How the source writes keys is said at the end, and for the manifest alone.
    """
    of_all = replace(spool, files=(), rows_read=None, headers=tuple(dict.fromkeys(spool.headers or ())), growing=None)
    return replace(of_all, longest=None, null_cursors=None, keys=None, token=None, remarks=(), seen={}, forms={})


def _stage_directly(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, parts: Path
) -> ReadRecords | None:
    """Stage by what the first records say; None where others contradict, or what they say is not enough."""
    with _unless_contradicted():
        if read := _in_parts(connection, request, spool, parts):
            _stage_rejected(connection, request, read)
            return read
    staging.forget(parts)
    forget_broken_lines(connection)
    return None


def _in_parts(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, parts: Path
) -> ReadRecords | None:
    """Put the good records into parts, by what the first ones say."""
    found, presumed = presumed_columns(connection, request.known, spool)
    plan, drift = _planned(request, spool, found)
    plan = replace(plan, presumed=presumed)
    if not may_be_direct(request.known, plan):
        return None
    memory.set_threads(connection, len(plan.columns))
    written = _written_directly(connection, request, spool, plan, parts)
    return ReadRecords(plan, drift, spool, written) if written else None


def _unless_contradicted() -> suppress:
    """End a block where the first records do not say enough of all, or others contradict."""
    import duckdb

    return suppress(
        NotPresumedError, ContractError, BadDataError, duckdb.InvalidInputException, duckdb.OutOfMemoryException
    )


def _written_directly(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, plan: ContractPlan, parts: Path
) -> Parts:
    if by_form := relation_by_form(connection, spool, plan):
        relation, proven = by_form
        return stage_directly(connection, request.staged, replace(plan, proven=proven), [relation], parts)
    return stage_directly(connection, request.staged, plan, raw_relations(connection, spool, plan), parts)


def _stage_rejected(connection: duckdb.DuckDBPyConnection, request: LandRequest, read: ReadRecords) -> None:
    """Add the records that are not in parts to `staged`, unless there are none by the counts or by the plan."""
    expected = read.spool.counted if read.spool.rows_read is None else read.spool.rows_read
    if expected == sum(part[1] for part in read.parts) or not refusals(read.plan):
        return
    # what is noted of broken lines is noted again
    forget_broken_lines(connection)
    memory.set_threads(connection, len(read.plan.columns), most=None if read.plan.numbered else 1)
    for relation in raw_relations(connection, read.spool, read.plan):
        select = contract.rejected_records(relation, read.plan)
        staging.stage_more(connection, request.staged, read.plan, select, read.part_files)


def _stage_with_care(connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool) -> ReadRecords:
    plan, drift = _planned(request, spool, find_columns(connection, request.known, spool))
    memory.set_threads(connection, len(plan.columns), most=None if plan.numbered else 1)
    staging.stage_records(connection, request.staged, plan, raw_relations(connection, spool, plan))
    return ReadRecords(plan, drift, spool)


def _planned(request: LandRequest, spool: Spool, found: Found) -> tuple[ContractPlan, tuple[Drift, ...]]:
    known = request.known
    plan, drift = plan_contract(known, found)
    plan = within_window(plan, known, request.window, request.zone)
    plan = replace(
        _of_spool(plan, known, spool),
        by_header=spool.csv.header and comes_from_others(spool),
        nanoseconds=nanosecond_columns(spool),
        numbered=spool.format != "csv",
        signs=Signs.of(spool.csv),
        integers=frozenset(map(loaded_name, spool.integers)),
        short_texts=spool.longest is not None and spool.longest <= limits.TEXT_BYTES // _GROWS,
    )
    return replace(plan, of_bytes=_bytes_as_text(plan, spool), clocks=_clocks(plan, known, spool)), drift


def _clocks(plan: ContractPlan, known: KnownTable, spool: Spool) -> frozenset[str]:
    """Return the columns that are times without an offset because earlier values were: no one has said it."""
    if spool.format == "parquet":
        return frozenset()
    said = frozenset(map(loaded_name, spool.types))
    open_columns = (c for c in plan.columns if c.found and c.name in (known.existing or {}) and c.name not in said)
    return frozenset(c.name for c in open_columns if c.type.name == "datetime" and known.declared(c.name).type is None)


def _bytes_as_text(plan: ContractPlan, spool: Spool) -> frozenset[str]:
    """Return the columns that a source has as bytes, and the table as something else."""
    there = binary_columns(spool)
    others = (column for column in plan.columns if column.type.name != "binary" and not column.hashed)
    return there.intersection(column.name for column in others)


def _of_spool(plan: ContractPlan, known: KnownTable, spool: Spool) -> ContractPlan:
    plan = replace(_by_types_of_source(plan, known, spool), protected=spool.protected)
    if not spool.sources:
        return plan
    plan = with_files(plan, known)
    if len(spool.files) != 1:
        return plan
    file, name = spool.files[0], spool.sources[0].name
    return replace(plan, only_file=OnlyFile(str(file), name, file_id(name)))


def _by_types_of_source(plan: ContractPlan, known: KnownTable, spool: Spool) -> ContractPlan:
    """Return the plan with the columns that have bytes in the source or in the table, and not in both.

    All bytes are read as hex digits. Where the YAML gives the type, that is what is meant.
    """
    there = {loaded_name(name): kind.name == "binary" for name, kind in spool.types.items()}
    said = [c for c in plan.columns if c.found and not c.hashed and c.name in there and not known.declared(c.name).type]
    written = frozenset(c.name for c in said if c.type.name == "text" and there[c.name])
    return replace(
        plan,
        not_bytes=frozenset(c.name for c in said if c.type.name == "binary" and not there[c.name]),
        written_bytes=written - _bytes_as_text(plan, spool),
    )
