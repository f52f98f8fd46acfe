"""A table's turn, held by a second connection while the first does what no transaction can: DDL, or work on files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from elt_factory.core.failures import AccountingError, EltError
from elt_factory.warehouse import audit

if TYPE_CHECKING:
    from elt_factory.warehouse.base import Warehouse


@contextmanager
def turn_held(warehouse: Warehouse, source: str, table: str, whose: str) -> Iterator[None]:
    """Keep every other load of a table waiting. `whose` says who has the turn, in words that are used once.

    Raises:
        AccountingError: the turn was lost meanwhile, so that another load may have been committed.
    """
    d, began = warehouse.dialect, warehouse.now()
    warehouse.execute(audit.create_turn(d, source, table))
    asked = audit.whose_turn(d, source, table)
    with warehouse.another() as other, other.transaction():
        other.execute(audit.take_turn(d, source, table, whose))
        with other.kept_open(asked):
            yield
        found: list[str] = []
        # a connection that is lost has no turn
        with suppress(EltError):
            found += [str(row[0]) for row in other.query(asked).rows]
        if found != [whose]:
            raise AccountingError(
                f"{source}.{table}: the transaction that kept other loads of the table waiting has ended too early; "
                f"rows that loads have committed since {began.isoformat(timespec='seconds')} may be missing: run the "
                "windows of such loads in _elt.loads again"
            )
