"""Rows that checks of `severity: quarantine` set aside: rejects, whose reason has the names of the checks.

A check is asked of typed values, so the row that it judges is the one that would be loaded. As everywhere, a condition
of which the answer is unknown is fulfilled; a row of which it cannot be answered at all is set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elt_factory.config.models.check_names import named_checks
from elt_factory.config.models.checks import COLUMN_CHECKS, QUARANTINE, TABLE_CHECKS, Check, TableCheck
from elt_factory.core.failures import ContractError
from elt_factory.core.sql_text import identifier, text_literal
from elt_factory.landing.casting import duckdb_type

if TYPE_CHECKING:
    import duckdb

    from elt_factory.config.models.table import Table
    from elt_factory.config.models.values import ColumnType
    from elt_factory.landing.planned import ContractPlan

REASON = "quarantine: "  # every reason of a row that checks set aside begins so


@dataclass(frozen=True)
class Quarantine:
    """A check that sets rows aside, as DuckDB's SQL over the columns under their names.

    `name` is the check's, `fulfilled` what a good row fulfils, and `where` a condition for the rows that it looks at.
    """

    name: str
    fulfilled: str
    where: str = ""

    @property
    def broken(self) -> str:
        """Whether a row is set aside: TRUE or FALSE."""
        looked = f"CASE WHEN {self.where}\n THEN coalesce(NOT {self.fulfilled}, FALSE) ELSE FALSE END"
        return f"TRY({looked if self.where else f'coalesce(NOT {self.fulfilled}, FALSE)'}) IS NOT FALSE"


def quarantines_of(table: Table, checks: Sequence[TableCheck]) -> tuple[Quarantine, ...]:
    """Return the checks of a table, and of its columns, that set rows aside."""
    named = named_checks(table, checks)
    of_columns = (
        _made(one.name, one.check, COLUMN_CHECKS.get(one.check.kind).row_condition(one.check.spec, one.column))
        for one in named.of_columns
        if one.check.severity == QUARANTINE
    )
    of_table = (
        _made(one.name, one.check, TABLE_CHECKS.get(one.check.kind).condition(one.check.spec))
        for one in named.of_table
        if one.check.severity == QUARANTINE
    )
    return (*of_columns, *of_table)


def _made(name: str, check: Check, condition: str) -> Quarantine:
    return Quarantine(name, condition, f"({check.where}\n)" if check.where else "")


def sets_aside(name: str, reason: str) -> bool:
    """Tell whether a check is among those that a row is set aside for."""
    return f"; {name};" in f"; {reason.removeprefix(REASON)};"


def set_aside(plan: ContractPlan) -> str:
    """Return the names of the checks that set a row aside, after `REASON`, as SQL; NULL where none does."""
    names = ", ".join(
        f"CASE WHEN {_asked(plan, number)} THEN {text_literal(check.name)} END"
        for number, check in enumerate(plan.quarantines)
    )
    reason = f"{text_literal(REASON)} || NULLIF(concat_ws('; ', {names}), '')"
    return f"CASE WHEN {plan.is_judged} THEN {reason} END" if plan.is_judged else reason


def macros(plan: ContractPlan) -> Iterator[str]:
    """Yield CREATE MACRO of each check: its parameters are columns, whatever their names."""
    for number, check in enumerate(plan.quarantines):
        names = ", ".join(map(identifier, plan.given_to(check.broken)))
        yield f"CREATE OR REPLACE TEMP MACRO {_macro(number)}({names}) AS ({check.broken})"


def make_checks(connection: duckdb.DuckDBPyConnection, plan: ContractPlan) -> None:
    """Make a macro of each check.

    Raises:
        ContractError: DuckDB cannot ask a check of these columns.
    """
    import duckdb

    kinds = {column.name: duckdb_type(column.landed_type) for column in plan.columns}
    for number, macro in enumerate(macros(plan)):
        check = plan.quarantines[number]
        given = (f"CAST(NULL AS {kinds[name]})" if name in kinds else "NULL" for name in plan.given_to(check.broken))
        try:
            connection.execute(macro)
            connection.execute(f"SELECT {_macro(number)}({', '.join(given)})")
        except duckdb.Error as error:
            cause = str(error).splitlines()[0].split(" because the FROM")[0]
            names = ", ".join(column.name for column in plan.columns[:20])
            raise ContractError(
                f"the check {check.name} cannot set rows aside: {cause}; hint: the columns are {names}"
            ) from None


def _asked(plan: ContractPlan, number: int) -> str:
    given = plan.given_to(plan.quarantines[number].broken)
    return f"{_macro(number)}({', '.join(given.values())})"


def _macro(number: int) -> str:
    return f"quarantined_{number}"


def unseen_columns(
    table: Table, existing: Mapping[str, ColumnType] | None, planned: Sequence[str]
) -> tuple[tuple[str, ColumnType | None], ...]:
    """Return the columns that no record has, and a condition may name: NULL in every row."""
    declared = {name: column.type for name, column in table.columns.items() if column.pii != "drop"}
    known = {**declared, **(existing or {})}
    seen = {name.casefold() for name in planned}
    dropped = {name.casefold() for name, column in table.columns.items() if column.pii == "drop"}
    return tuple((name, kind) for name, kind in known.items() if name.casefold() not in seen | dropped)
