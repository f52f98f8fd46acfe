"""A file in which a second table follows the first: a blank line, a line of names, and values below it."""

from __future__ import annotations

from collections.abc import Sequence

from elt_factory.core.failures import BadDataError
from elt_factory.extract.dialect import holds_data, holds_names


class SecondTable:
    """Looks at the records of a file, one after the other, for a table that begins below them.

    Lines of text alone look like names, so this is for a table with a number or a time in its first record.

    Args:
        name: What people call the file.
        width: How many columns the first table has.
    """

    def __init__(self, name: str, width: int) -> None:
        self._name, self._width = name, width
        self._first, self._names_at = True, 0
        self.is_over = width == 1

    def see(self, fields: Sequence[str], line: int, *, below_gap: bool) -> None:
        """Look at a record and its line, and whether a blank line is above it.

        Raises:
            BadDataError: another table began with the record before.
        """
        if self.is_over:
            return
        if self._first and not holds_data(fields):
            self.is_over = True
            return
        fits = len(fields) == self._width
        if self._names_at and fits and holds_data(fields):
            raise BadDataError(
                f"{self._name} line {self._names_at}: another table starts here: names and values follow a blank "
                "line; write one table per file"
            )
        is_names = below_gap and not self._first and fits and len({*fields}) == self._width and holds_names(fields)
        self._first, self._names_at = False, line if is_names else 0
