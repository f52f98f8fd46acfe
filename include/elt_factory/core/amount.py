"""Numbers with the noun that they count: `1 row`, `2,000 rows`."""

from __future__ import annotations


def amount(count: int, one: str, more: str = "") -> str:
    """Return a number and what it counts, in the form that the number asks for.

    Args:
        count: The number.
        one: What one is: `row`, or with what it does, `row violates it`.
        more: What several are; an `s` more where it is not given.
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"
