"""DuckDB's errors while a landing is made, as errors of ELT Factory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from elt_factory.core.failures import BadDataError, ContractError, LandingError
from elt_factory.landing.schema import KnownTable


@contextmanager
def named_errors(known: KnownTable) -> Iterator[None]:
    """DuckDB's errors as ours. Its messages may show data, so where some of it is personal they are not passed on."""
    import duckdb

    try:
        yield
    except duckdb.PermissionException as error:
        text = f"{known.label}: where and checks may read the record, and no file of this machine: {_first_line(error)}"
        raise ContractError(text) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise LandingError(
            f"{known.label}: cannot read the records, or write them to the landing: {_first_line(error)}"
        ) from error
    except duckdb.Error as error:
        if any(column.pii for column in known.table.columns.values()):
            message = f"{known.label}: cannot read the records; details withheld: they may contain personal data"
            raise BadDataError(message) from None
        raise BadDataError(f"{known.label}: cannot read the records: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
