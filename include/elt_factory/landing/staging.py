"""The staged records: Parquet files in scratch space behind the view `staged`.

In a table DuckDB would keep the blocks that it has written in memory, until its limit is reached, and long texts would
need more than that. Of a Parquet file each thread holds the row group that it writes or reads.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.config.errors import near_name
from elt_factory.core.failures import ContractError
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, text_literal
from elt_factory.landing import contract
from elt_factory.landing.planned import ContractPlan
from elt_factory.landing.quarantine import make_checks

if TYPE_CHECKING:
    import duckdb

_WHERE_FROM = re.compile(" because the FROM| when casting from")  # what follows names columns of the contract's own
_UNKNOWN = re.compile(r'column "([^"]+)" was not found')
_ROW_GROUP_BYTES = 4 * 1024 * 1024


def stage_records(
    connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan, relations: Sequence[str]
) -> None:
    """Put the records of relations, one after the other, through the contract; only they are behind `staged` then."""
    forget(folder)
    folder.mkdir(exist_ok=True)
    make_checks(connection, plan)
    with _naming_the_condition(plan):
        _make_conditions(connection, plan)
        for relation in relations:
            _add(connection, folder, contract.stage_records(relation, plan))
    _show(connection, folder, plan)


def stage_more(
    connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan, select: str, parts: Sequence[str] = ()
) -> None:
    """Add what is rejected to `staged`, behind the records, which may be in parts of the landing already."""
    _add(connection, folder, select)
    _show(connection, folder, plan, parts)


def stage_landed(connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan, parts: Sequence[str]) -> None:
    """Put the rows of a landing's parts behind `staged`, and only them."""
    forget(folder)
    folder.mkdir(exist_ok=True)
    _show(connection, folder, plan, parts)


def stage_nothing(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> None:
    """Make `staged` without records."""
    connection.execute(f"CREATE OR REPLACE VIEW staged AS {contract.no_records(plan)}")


def filtered_rows(connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan) -> int:
    """Return how many good rows do not meet the condition of the table; they are not behind `staged`."""
    if not plan.where or not folder.is_dir():
        return 0
    found = connection.execute(f"SELECT count(*) FROM {_there(folder)} WHERE kept IS FALSE").fetchall()
    return int(found[0][0])


def filtered_files(connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan) -> frozenset[str]:
    """Return the files that have such rows."""
    if not (plan.where and plan.by_file) or not folder.is_dir():
        return frozenset()
    found = connection.execute(f"SELECT DISTINCT file FROM {_there(folder)} WHERE kept IS FALSE").fetchall()
    return frozenset(file for (file,) in found)


def _make_conditions(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> None:
    """Make the macros of the conditions, and ask them once: of these columns DuckDB may not be able to."""
    for macro in contract.condition_macros(plan):
        connection.execute(macro)
    for asked in contract.asked_of_nothing(plan):
        connection.execute(asked)


@contextmanager
def _naming_the_condition(plan: ContractPlan) -> Iterator[None]:
    """Errors of the table's condition, also where it cannot be computed for a record: values of records have TRY_CAST.

    Raises:
        ContractError: that, with the columns.
    """
    import duckdb

    # of the last two some are of the records
    bound = (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException)
    try:
        yield
    except (*bound, duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        if not (plan.where or plan.stays):
            raise
        cause = _WHERE_FROM.split(str(error).splitlines()[0])[0]
        if plan.secret and not isinstance(error, bound):
            cause = f"{cause.partition(':')[0]}; details withheld: they may contain personal data"
        raise ContractError(f"where: {cause}; hint: {_hint(cause, plan)}") from None


def _hint(cause: str, plan: ContractPlan) -> str:
    kinds = {column.name: f" ({column.landed_type})" for column in plan.columns}
    names = [*kinds, *(name for name, _ in plan.unseen)]
    hint = f"the columns are {', '.join(name + kinds.get(name, '') for name in names[:20])}"
    if unknown := _UNKNOWN.search(cause):
        near = near_name(unknown[1], names)
        return f"{hint}; {near if near.startswith('did') else f'declare {unknown[1]} under columns: if it comes later'}"
    is_of_types = "cast" in cause or "convert" in cause
    return f"{hint}; try_cast(a AS integer) is NULL where a text is not a number" if is_of_types else hint


def forget(folder: Path) -> None:
    """Remove the files behind `staged`."""
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(map(str, folder.iterdir()))


def _add(connection: duckdb.DuckDBPyConnection, folder: Path, select: str) -> None:
    file = folder / f"{len(_files(folder)):06}.parquet"
    connection.execute(
        f"COPY ({select}) TO {text_literal(str(file))} (FORMAT parquet, COMPRESSION snappy, "
        f"ROW_GROUP_SIZE_BYTES {_ROW_GROUP_BYTES})"
    )


def _show(connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan, parts: Sequence[str] = ()) -> None:
    selects = [contract.landed_as_staged(contract.parquet_relation(parts), plan)] if parts else []
    if _files(folder):
        columns = "*" if plan.numbered else f"*, {contract.place_in_parquet()} AS place"
        kept = " WHERE kept IS NOT FALSE" if plan.where else ""
        selects.append(f"SELECT {columns} FROM {_there(folder)}{kept}")
    connection.execute(f"CREATE OR REPLACE VIEW staged AS {' UNION ALL BY NAME '.join(selects)}")


def _there(folder: Path) -> str:
    return f"read_parquet({file_list(_files(folder))}, {LITERAL_PATHS}, union_by_name = true)"
