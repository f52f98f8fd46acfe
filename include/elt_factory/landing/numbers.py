"""Numbers that are written with other signs than a point: 1.234,50 is 1234.50 where the YAML says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from elt_factory.config.models.formats import CsvFormat
from elt_factory.config.models.values import ColumnType
from elt_factory.core.sql_text import identifier, text_literal

_NUMERIC = ("integer", "float", "decimal")
_LIKE_A_NUMBER = r"\s*[-+]?[0-9][0-9.,]*\s*"


@dataclass(frozen=True)
class Signs:
    """The signs of a file's numbers."""

    decimal: str
    thousands: str | None

    @classmethod
    def of(cls, form: CsvFormat) -> Signs | None:
        """Return the signs of a CSV file; None for those that every number has."""
        return cls(form.decimal, form.thousands) if (form.decimal, form.thousands) != (".", None) else None

    def takes(self, kind: ColumnType) -> bool:
        """Whether values of a type are written with these signs."""
        return kind.name in _NUMERIC

    def plain(self, text: str) -> str:
        """Return SQL for a number with a point and no other sign; NULL where the text is not one."""
        grouped = rf"[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+|" if self.thousands else ""
        form = rf"\s*[-+]?(?:{grouped}[0-9]+)(?:{re.escape(self.decimal)}[0-9]+)?(?:[eE][-+]?[0-9]+)?\s*"
        bare = f"replace({text}, {text_literal(self.thousands)}, '')" if self.thousands else text
        point = f"replace({bare}, {text_literal(self.decimal)}, '.')"
        return f"CASE WHEN regexp_full_match({text}, {text_literal(form)}) THEN {point} END"

    def to_look_at(self, relation: str, names: Sequence[str]) -> str:
        """Return a relation in which types can be found: what would be a number by other signs is none."""
        columns = ", ".join(
            f"CASE WHEN {self.plain(name)} IS NOT NULL THEN {self.plain(name)} "
            f"WHEN regexp_full_match({name}, {text_literal(_LIKE_A_NUMBER)}) THEN concat({name}, '?') "
            f"ELSE {name} END AS {name}"
            for name in map(identifier, names)
        )
        return f"(SELECT {columns} FROM {relation})"
