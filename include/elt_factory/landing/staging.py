"""The staged records: Parquet files in scratch space behind the view `staged`.

In a table DuckDB would keep the blocks that it has written in memory, until its limit is reached, and long texts would
need more than that. Of a Parquet file each thread holds the row group that it writes or reads.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
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

_UNKNOWN = re.compile(r'column "([^"]+)" was not found')
_ROW_GROUP_BYTES = 4 * 1024 * 1024


def stage_records(
    connection: duckdb.DuckDBPyConnection, folder: Path, plan: ContractPlan, relations: Sequence[str]
) -> None:
    """Put the records of relations, one after the other, through the contract; only they are behind `staged` then."""
    forget(folder)
    folder.mkdir(exist_ok=True)
    _make_conditions(connection, plan)
    make_checks(connection, plan)
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


def _make_conditions(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> None:
    import duckdb

    try:
        for macro in contract.condition_macros(plan):
            connection.execute(macro)
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        cause = str(error).splitlines()[0].split(" because the FROM")[0]
        names = [*(column.name for column in plan.columns), *(name for name, _ in plan.unseen)]
        hint = f"the columns are {', '.join(names[:20])}"
        if unknown := _UNKNOWN.search(cause):
            near = near_name(unknown[1], names)
            hint += f"; {near if near.startswith('did') else f'declare {unknown[1]} under columns: if it comes later'}"
        raise ContractError(f"where: {cause}; hint: {hint}") from None


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
