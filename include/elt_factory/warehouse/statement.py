"""A statement that says what it is for: `elt plan` shows these words with it."""

from __future__ import annotations

from typing import Self


class Statement(str):
    """SQL text, and a few words for people about its purpose."""

    __slots__ = ("purpose",)
    purpose: str

    def __new__(cls, sql: str, purpose: str) -> Self:
        """Return the text with its purpose."""
        made = super().__new__(cls, sql)
        made.purpose = purpose
        return made


BEGIN = Statement("BEGIN", "start one transaction")
COMMIT = Statement("COMMIT", "commit the rows and their record together, or nothing")
ROLLBACK = Statement("ROLLBACK", "take back all of it")
