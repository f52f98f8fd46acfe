"""The records of a spool, read through the contract into `staged`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.extract.request import Spool
from elt_factory.landing import contract, csv_sql, memory, staging
from elt_factory.landing.contract import ContractPlan
from elt_factory.landing.csv_files import comes_from_others, useful_threads
from elt_factory.landing.csv_sifting import forget_broken_lines, sift_csv
from elt_factory.landing.delivered import note_delivered
from elt_factory.landing.found import find_columns, nanosecond_columns, raw_relations
from elt_factory.landing.lines import BROKEN_LINES, BrokenLinesError, offer
from elt_factory.landing.manifest import Drift
from elt_factory.landing.numbers import Signs
from elt_factory.landing.outline import with_files
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable, UnfitNameError, plan_contract
from elt_factory.landing.sifting import sift
from elt_factory.landing.within import within_window

if TYPE_CHECKING:
    import duckdb


def stage_spool(
    connection: duckdb.DuckDBPyConnection, request: LandRequest
) -> tuple[ContractPlan, tuple[Drift, ...], Spool]:
    """Make `staged` of the records of a spool; returns the plan, the drift, and what was read in place of the spool."""
    import duckdb

    spool = request.spool
    note_delivered(connection, spool, request.workdir)
    if not spool.files:
        plan, drift = plan_contract(request.known, {})
        plan = _of_spool(plan, request.known, spool)
        staging.stage_nothing(connection, plan)
        return plan, drift, spool
    if spool.format == "csv":
        spool = sift_csv(connection, spool, request.workdir)
        note_delivered(connection, spool, request.workdir)
    if spool.format != "ndjson":
        return *_stage_files(connection, request, spool), spool
    rejects = [spool.rejects] if spool.rejects else []
    with suppress(duckdb.InvalidInputException, UnfitNameError, BrokenLinesError):
        plan, drift = _stage_files(connection, request, spool)
        _stage_broken(connection, request, plan, rejects)
        return plan, drift, spool
    request.log(f"{request.known.label}: some lines are not JSON objects; reading again without them")
    sifted = sift(connection, spool, request.workdir)
    note_delivered(connection, sifted.spool, request.workdir)
    plan, drift = _stage_files(connection, request, sifted.spool)
    _stage_broken(connection, request, plan, sifted.broken)
    return plan, drift, sifted.spool


def _stage_broken(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, plan: ContractPlan, broken: Sequence[Path]
) -> None:
    """Add what could not be read as records to `staged`."""
    if broken:
        offer(connection, broken, BROKEN_LINES)
        staging.stage_broken(connection, request.staged, plan, contract.broken_lines(plan))


def _stage_files(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool
) -> tuple[ContractPlan, tuple[Drift, ...]]:
    import duckdb

    threads = useful_threads(spool)
    if spool.format == "csv" and spool.longest is not None:
        with suppress(duckdb.OutOfMemoryException):
            return _stage_within(connection, request, spool, threads, csv_sql.buffer_bytes(spool.longest))
        request.log(f"{request.known.label}: reading again with one thread and all of the memory limit")
        forget_broken_lines(connection)
        threads = 1
    return _stage_within(connection, request, spool, threads, 0)


def _stage_within(
    connection: duckdb.DuckDBPyConnection, request: LandRequest, spool: Spool, threads: int | None, buffer: int
) -> tuple[ContractPlan, tuple[Drift, ...]]:
    """Stage files with a number of threads; `buffer` is the size of the buffers that DuckDB would keep without need."""
    known = request.known
    longest = offer(connection, spool.files) if spool.format == "ndjson" else spool.longest or 0
    memory.set_records(connection, longest, threads, buffer)
    memory.set_threads(connection, 1)
    found = find_columns(connection, known, spool)
    plan, drift = plan_contract(known, found)
    plan = within_window(plan, known, request.window, request.zone)
    plan = replace(
        _of_spool(plan, known, spool),
        by_header=spool.csv.header and comes_from_others(spool),
        nanoseconds=nanosecond_columns(connection, spool),
        numbered=spool.format != "csv",
        signs=Signs.of(spool.csv),
    )
    memory.set_threads(connection, len(plan.columns), most=None if plan.numbered else 1)
    staging.stage_records(connection, request.staged, plan, raw_relations(connection, spool, plan))
    memory.set_records(connection, longest)
    memory.set_threads(connection, len(plan.columns))
    if spool.format == "csv":
        staging.stage_broken(connection, request.staged, plan, contract.broken_csv(plan))
    return plan, drift


def _of_spool(plan: ContractPlan, known: KnownTable, spool: Spool) -> ContractPlan:
    return with_files(plan, known) if spool.sources else plan
