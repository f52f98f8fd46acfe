"""A file in which a second table follows the first: a blank line, perhaps a title, a line of names, and values."""

from __future__ import annotations

from collections.abc import Sequence

from elt_factory.core.failures import BadDataError
from elt_factory.extract.dialect import holds_data, holds_names

_NEAR = 2  # records below a gap: a title, and names


class SecondTable:
    """Looks at the records of a file, one after the other, for a table that begins below them.

    Lines of text alone look like names. So the names of another table are those above a record with a number or a time,
    where the first table has one in its first record; or, below a gap or the title that follows it, those among which
    one is the name of its own column, as in two tables that both begin with `name`.

    Args:
        name: What people call the file.
        names: The columns of the first table.
    """

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self._name, self._names = name, [_folded(one) for one in names]
        self._first, self._is_text, self._is_title = True, False, False
        self._names_at = self._near_gap = 0

    def see(self, fields: Sequence[str], line: int, *, below_gap: bool) -> None:
        """Look at a record and its line, and whether a blank line is above it; a record of nothing is blank as well.

        Raises:
            BadDataError: another table began with this record, or the one before.
        """
        if len(self._names) == 1:
            return
        if not any(fields):
            self._near_gap = _NEAR + 1
            return
        self._near_gap = _NEAR if below_gap or self._near_gap > _NEAR else int(self._is_title)
        # names may follow a title, which has one value
        self._is_title = self._near_gap == _NEAR and sum(map(bool, fields)) == 1
        if self._first:
            self._is_text = not holds_data(fields)
        elif self._near_gap or self._names_at:
            self._refuse_another(fields, line)
        self._first = False

    def _refuse_another(self, fields: Sequence[str], line: int) -> None:
        fits = len(fields) == len(self._names)
        if self._names_at and fits and holds_data(fields):
            raise self._error(self._names_at, "names and values")
        if self._near_gap and self._has_names_again(fields):
            raise self._error(line, "names of columns")
        is_names = self._near_gap == _NEAR and fits and len({*fields}) == len(self._names) and holds_names(fields)
        self._names_at = line if is_names and not self._is_text else 0

    def _has_names_again(self, fields: Sequence[str]) -> bool:
        """Whether some columns have their own name for a value, and others another name; all of them is a header."""
        filled = [(field, name) for field, name in zip(fields, self._names, strict=False) if field.strip()]
        same = sum(_folded(field) == name for field, name in filled)
        return 0 < same < len(filled) and not holds_data([field for field, _ in filled])

    def _error(self, line: int, what: str) -> BadDataError:
        return BadDataError(
            f"{self._name} line {line}: another table starts here: {what} follow a blank line; write one table per file"
        )


def _folded(name: str) -> str:
    return name.strip().casefold()
