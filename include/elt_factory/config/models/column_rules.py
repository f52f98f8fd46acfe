"""One pass over the columns of each table: what its cursor, dates, keys, `pii`, types and checks cannot all be.

Everything here is known from the YAML alone. A column without a declared type is not judged: its type is found in the
data, and `elt validate --live` looks at those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from elt_factory.config.errors import KEY, MistakeError, near_name
from elt_factory.config.models.checks import COLUMN_CHECKS, QUARANTINE, TABLE_CHECKS, TableCheck
from elt_factory.config.models.table import TIMES, Column, Path, Table

# these have no order in which they grow, or one that the source and the warehouse do not share
_NO_CURSORS = ("boolean", "text", "json", "binary", "time")
_OTHER_CURSOR = "choose a time or number column that grows with every change"
_OTHER_DATE = "choose a date, datetime or timestamp column"


@dataclass(frozen=True)
class _Use:
    """A column as some part of the config names it.

    Args:
        role: What it is there: primary_key, cluster_by, cursor, business_date, unique.
        column: Its name.
        at: Where it is named.
    """

    role: str
    column: str
    at: Path


def column_mistakes(tables: Mapping[str, Table], quality: Mapping[str, Sequence[TableCheck]]) -> Iterator[MistakeError]:
    """Yield what is wrong with the columns of a config's tables, each at the part that has to change."""
    for name, table in tables.items():
        at = ("tables", name)
        uses = [*_named(table, at), *_checked(quality.get(name, ()), ("quality", name))]
        yield from _undeclared(table, uses)
        yield from _unfit_retention(table, (*at, "retention"))
        yield from _set_aside_elsewhere(name, table, quality.get(name, ()))
        if not table.columns:
            continue
        yield from _unfit_cursor(table, at)
        yield from _unfit_date(table, at)
        yield from _unfit_cluster(table, at)
        yield from _dropped(table, uses, at)
        for column_name, column in table.columns.items():
            yield from _check_mistakes(column_name, column, (*at, "columns", column_name, "checks"))


def _check_mistakes(name: str, column: Column, at: Path) -> Iterator[MistakeError]:
    """Yield the checks of a column that no value, or every value, of it breaks."""
    if column.pii == "drop":
        return
    for index, check in enumerate(column.checks):
        for mistake in COLUMN_CHECKS.get(check.kind).mistakes(check.spec, name, column):
            place = (*at, index, check.kind, *mistake.at)
            yield MistakeError(mistake.message, mistake.hint, at=place, code=mistake.code)


def _set_aside_elsewhere(name: str, table: Table, quality: Sequence[TableCheck]) -> Iterator[MistakeError]:
    """Yield the checks that would set rows aside of a table that another system loads."""
    if not table.stored_in:
        return
    columns = ((("tables", name, "columns", key, "checks"), column.checks) for key, column in table.columns.items())
    for at, checks in (*columns, (("quality", name), quality)):
        for index, check in enumerate(checks):
            if check.severity == QUARANTINE:
                message = f"severity: quarantine needs rows that this config loads, and another system loads {name}"
                yield MistakeError(
                    message, "write severity: warn, or error", at=(*at, index, "severity"), code="conflict"
                )


def _named(table: Table, at: Path) -> Iterator[_Use]:
    if table.incremental:
        yield _Use("cursor", table.incremental.cursor, (*at, "incremental", "cursor"))
    if table.business_date:
        yield _Use("business_date", table.business_date, (*at, "business_date"))
    if table.follows_deletes and table.follows_deletes.column:
        yield _Use("deletes", table.follows_deletes.column, (*at, "deletes", "column"))
    if table.retention and table.retention.by:
        yield _Use("retention", table.retention.by, (*at, "retention", "by"))
    for role, names in (("primary_key", table.primary_key), ("cluster_by", table.cluster_by)):
        yield from (_Use(role, column, (*at, role, index)) for index, column in enumerate(names))


def _checked(checks: Sequence[TableCheck], at: Path) -> Iterator[_Use]:
    for index, check in enumerate(checks):
        for column, below in TABLE_CHECKS.get(check.kind).columns(check.spec):
            yield _Use(check.kind, column, (*at, index, check.kind, *below))


def _undeclared(table: Table, uses: Sequence[_Use]) -> Iterator[MistakeError]:
    """Columns that a strict contract with columns never lets in."""
    if table.schema_contract == "evolve" or not table.columns:
        return
    for use in uses:
        if use.column not in table.columns:
            yield undeclared(use.column, table, use.at)


def undeclared(column: str, table: Table, at: Path) -> MistakeError:
    """Return the mistake of a column that a strict contract does not let in."""
    near = near_name(column, table.columns)
    hint = near if near.startswith("did you mean") else f"declare {column}: under columns:"
    message = f'"{column}" is not declared, but schema_contract: {table.schema_contract} allows no others'
    return MistakeError(message, hint, at=at, code="unknown-column")


def _unfit_cursor(table: Table, at: Path) -> Iterator[MistakeError]:
    if table.incremental is None:
        return
    cursor = table.incremental.cursor
    column, place = table.columns.get(cursor), (*at, "columns", cursor)
    if column is None:
        return
    if column.pii == "hash":
        message = f'the cursor "{cursor}" is hashed, and hashes have no order: newer rows could count as older'
        yield MistakeError(message, f"remove pii, or {_OTHER_CURSOR}", at=(*place, "pii"), code="conflict")
    elif column.type and column.type.name in _NO_CURSORS:
        hint = f"correct its type, or {_OTHER_CURSOR}"
        message = f'the cursor "{cursor}" is {column.type}, which does not grow with every change'
        yield MistakeError(message, hint, at=(*place, "type"), code="conflict")
    else:
        yield from _unfit_initial(table, column, at)


def _unfit_initial(table: Table, column: Column, at: Path) -> Iterator[MistakeError]:
    """Yield a cursor that begins with a number and is a time, or the other way round."""
    incremental = table.incremental
    if incremental is None or incremental.initial is None or column.type is None:
        return
    is_time, begins_with_number = column.type.name in TIMES, isinstance(incremental.initial, int)
    if is_time != begins_with_number:
        return
    found, wanted = ("a number", "a date like 2013-01-31") if is_time else ("a date", "a whole number, like 0")
    message = f'initial is {found}, but the cursor "{incremental.cursor}" is {column.type}'
    yield MistakeError(message, f"write {wanted}", at=(*at, "incremental", "initial"), code="conflict")


def _unfit_retention(table: Table, at: Path) -> Iterator[MistakeError]:
    """Yield what retention cannot go by: rows must never be deleted by a column that does not say their age."""
    if table.retention is None:
        return
    name = table.aged_by
    if name is None:
        hint = "add by: with a column of type timestamp, datetime or date"
        yield MistakeError("retention needs a column that says how old a row is", hint, at=(*at, KEY), code="conflict")
        return
    if table.write_disposition == "replace":
        hint = "leave old rows out with where:, or remove retention"
        message = "retention has no effect on replace: the next load brings all rows back"
        yield MistakeError(message, hint, at=(*at, KEY), code="conflict")
    column = table.columns.get(name)
    kind = "hashed" if column and column.pii == "hash" else str(column.type) if column and column.type else None
    if kind and (kind == "hashed" or kind not in TIMES):
        place = (*at, "by") if table.retention.by else (*at, KEY)
        hint = f"name a column of type {', '.join(TIMES[:-1])} or {TIMES[-1]}"
        message = f'rows cannot be deleted by the age of "{name}": it is {kind}, not a date or time'
        yield MistakeError(message, hint, at=place, code="conflict")


def _unfit_date(table: Table, at: Path) -> Iterator[MistakeError]:
    name = table.business_date
    column = table.columns.get(name) if name else None
    if column is None:
        return
    place = (*at, "columns", str(name))
    if column.pii == "hash":
        message = f'the business date "{name}" is hashed, so its dates are lost'
        yield MistakeError(message, f"remove pii, or {_OTHER_DATE}", at=(*place, "pii"), code="conflict")
    elif column.type and column.type.name not in TIMES:
        message = f'the business date "{name}" is {column.type}, which does not say when something happened'
        hint = "write type: date, datetime or timestamp, or choose another column"
        yield MistakeError(message, hint, at=(*place, "type"), code="conflict")


def _unfit_cluster(table: Table, at: Path) -> Iterator[MistakeError]:
    for index, name in enumerate(table.cluster_by):
        column = table.columns.get(name)
        if column and column.type and column.type.name == "json":
            hint = "choose a column of another type"
            message = f'"{name}" is json, and tables cannot be clustered by json'
            yield MistakeError(message, hint, at=(*at, "cluster_by", index), code="conflict")


def _dropped(table: Table, uses: Sequence[_Use], at: Path) -> Iterator[MistakeError]:
    """Yield what needs a column that `pii: drop` removes."""
    for name, column in table.columns.items():
        if column.pii != "drop":
            continue
        place = (*at, "columns", name)
        roles = [use.role for use in uses if use.column == name]
        if roles:
            message = f'"{name}" cannot be dropped: it is used by {roles[0]}'
            yield MistakeError(message, _instead_of_drop(roles), at=(*place, "pii"), code="conflict")
        if column.checks:
            message = f'"{name}" is dropped, so its checks cannot run'
            yield MistakeError(message, "remove the checks", at=(*place, "checks", KEY), code="conflict")
        if not column.nullable:
            message = f'"{name}" is dropped, so nullable: false cannot be checked'
            yield MistakeError(message, "remove nullable", at=(*place, "nullable", KEY), code="conflict")


def _instead_of_drop(roles: Sequence[str]) -> str:
    """Return a hash still tells rows apart; it is neither a cursor nor a date."""
    if "cursor" in roles:
        return f"remove pii, or {_OTHER_CURSOR}"
    if "business_date" in roles:
        return f"remove pii, or {_OTHER_DATE}"
    return "write pii: hash"
