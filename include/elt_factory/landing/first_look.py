"""A look at the first records: what they say of columns and types is presumed of all, and asked of each as it is read.

To look through all records for types before they are read costs as much as to read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from elt_factory.config.models.table import loaded_name
from elt_factory.landing import inference, lines, ndjson
from elt_factory.landing.csv_files import by_header
from elt_factory.landing.csv_sifting import forget_broken_lines
from elt_factory.landing.found import Found, JsonKind, Look, ReadFields, find_columns
from elt_factory.landing.numbers import Signs
from elt_factory.landing.presumption import Presumption

if TYPE_CHECKING:
    import duckdb

    from elt_factory.config.models.values import ColumnType
    from elt_factory.extract.request import Spool
    from elt_factory.landing.schema import KnownTable

_NO_VALUE = "FALSE"


class NotPresumedError(Exception):
    """The first records do not say enough."""


def presumed_columns(
    connection: duckdb.DuckDBPyConnection, known: KnownTable, spool: Spool
) -> tuple[Found, Presumption]:
    """Return the columns as the first records have them, and what that presumes of all records.

    Columns of Parquet are looked for in all of them: there it costs little.

    Raises:
        NotPresumedError: the first records do not say enough.
    """
    if spool.format == "parquet":
        return find_columns(connection, known, spool), Presumption()
    # files with headers of their own may have other values in a column
    if Signs.of(spool.csv) or (spool.format == "csv" and len(by_header(spool)) > 1):
        raise NotPresumedError
    # nor are the first ones of CSV looked at alone
    if spool.format == "csv" and spool.growing and set(by_header(spool)) != {tuple(spool.types)}:
        raise NotPresumedError
    look = _FirstLook()
    try:
        with lines.only_first(connection, spool):
            found = find_columns(connection, known, spool, look)
            return found, replace(look.presumption, longest=spool.longest)
    finally:
        forget_broken_lines(connection)


@dataclass
class _FirstLook(Look):
    """Looks at the first records and notes what is asked of all."""

    of_digits = False  # each number is asked for them

    tests: dict[str, str] = field(default_factory=dict)
    in_json: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    keys: tuple[str, ...] = ()

    @property
    def presumption(self) -> Presumption:
        """What is asked of all, by the names under which columns are loaded."""
        own = Presumption(self.tests, frozenset(self.in_json), frozenset(self.texts), self.keys)
        return own.renamed(loaded_name)

    def note_keys(self, names: Sequence[str]) -> None:
        """Note the keys of the records."""
        self.keys = tuple(names)

    def types_of_text(self, connection: duckdb.DuckDBPyConnection, names: Sequence[str], relation: str) -> Found:
        """Presume that the first values have the forms of all."""
        answers = inference.answers_of_some(connection, names, relation)
        return {
            name: self._noted(name, inference.fitting_type(answer), inference.is_text_for_certain(answer))
            for name, answer in answers.items()
        }

    def types_of_json(
        self, connection: duckdb.DuckDBPyConnection, kinds: Mapping[str, JsonKind], read: ReadFields
    ) -> Found:
        """Presume that the first values have the kinds of all."""
        self.texts |= {name for name, kind in kinds.items() if kind.bits == ndjson.TEXT}
        open_names = [name for name, kind in kinds.items() if kind.may_be_moments]
        relation = read(dict.fromkeys(open_names, "VARCHAR"))
        answers = inference.answers_of_some(connection, open_names, relation) if open_names else {}
        found: Found = {}
        for name, kind in kinds.items():
            if name in self.texts:
                moment = inference.fitting_type(answers[name]) if name in answers else None
                no_moment = name not in answers or inference.is_no_moment(answers[name])
                found[name] = self._noted(name, kind.type if no_moment else moment, no_moment)
            else:
                known = kind.type if kind.bits is not None else None
                is_json = known is not None and known.name == "json"
                found[name] = self._noted(name, known, is_json)
                self.in_json |= set() if is_json else {name}
        return found

    def _noted(self, name: str, kind: ColumnType | None, certain: bool) -> ColumnType | None:
        """Return a type for which all values are asked, unless it is certain already."""
        if certain:
            return kind
        test = inference.USUAL.get(kind.name) if kind else _NO_VALUE
        if test is None:
            raise NotPresumedError
        self.tests[name] = test
        return kind
