"""A quoted field that lacks the delimiter before it: `4.50"Pants, blue"` looks like `4.50"Pants` and ` blue"`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


class TornField:
    """Looks at the fields of a record that are not in quotes, one after the other, for one that is torn.

    A quote alone within a field is text, as in `5" pipe`: a torn field begins with one that has text on both sides, and
    a later field ends with another.

    Args:
        quote: The sign that encloses fields.
    """

    def __init__(self, quote: str) -> None:
        self._quote, self._begins, self._is_begun = quote, _within(quote), False

    def ends_with(self, field: str) -> bool:
        """Whether a field is the end of one that is torn."""
        if not self._quote or field.count(self._quote) % 2 == 0:
            return False
        if self._is_begun and field.rstrip().endswith(self._quote):
            return True
        self._is_begun = self._is_begun or bool(self._begins.search(field))
        return False


def is_torn(fields: Iterable[str], quote: str) -> bool:
    """Whether fields that are not in quotes are parts of one that is."""
    torn = TornField(quote)
    return any(map(torn.ends_with, fields))


@cache
def _within(quote: str) -> re.Pattern[str]:
    return re.compile(rf"[^\s{re.escape(quote)}]{re.escape(quote)}[^\s{re.escape(quote)}]" if quote else "(?!)")
