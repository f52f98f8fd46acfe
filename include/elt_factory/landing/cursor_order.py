"""Numbers in texts as the cursor of an API: their order is that of numbers where all have the same length."""

from __future__ import annotations

import re
from collections.abc import Iterable

from elt_factory.config.models.table import Table
from elt_factory.core.failures import ContractError

_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")


def is_number_of_api(table: Table) -> bool:
    """Whether the cursor is a number, and no database compares it: as text it would have another order."""
    return table.counts_by_number and not table.asks_by_cursor


def have_another_order(ends: Iterable[str]) -> bool:
    """Whether the least and the greatest texts of several parts are whole numbers of several lengths.

    Within a part all have one length, or not all are numbers.
    """
    texts = list(ends)
    return len(set(map(len, texts))) > 1 and all(map(_WHOLE_NUMBER.fullmatch, texts))


def another_order(label: str, table: str, cursor: str | None) -> ContractError:
    """Return the error for such a cursor."""
    return ContractError(
        f"{label}: the cursor {cursor} has numbers as text, which are in another order: 9 is after 10; hint: "
        f"write type: integer under tables.{table}.columns.{cursor} and run with full refresh"
    )
