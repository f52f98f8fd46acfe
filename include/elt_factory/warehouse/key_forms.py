"""Keys that are text or bytes, and that the source writes in another way than before: their rows would be there twice.

The types that the source had for them are in `_elt.loads`, with the columns of each load. Where one has changed since
the last full refresh, the keys themselves say whether that has changed how they are written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from elt_factory.core.amount import amount
from elt_factory.core.failures import BadDataError
from elt_factory.landing.manifest import Manifest
from elt_factory.warehouse import audit
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.statement import Statement

if TYPE_CHECKING:
    from elt_factory.warehouse.order import LoadOrder
    from elt_factory.warehouse.writing import Writing

# bytes in hex digits, with what may be around or between them: UUIDs, ids of MongoDB, binary keys
_HEX = r"^(\\x)?[{]?[0-9A-Fa-f-]{24,40}[}]?$"
_NUMBERS = ("integer", "decimal", "float")
_WHOLE, _FRACTION = "^-?[0-9]+$", "^-?[0-9]*[.][0-9]+$"


def refuse_other_forms(load: Writing) -> None:
    """See that no row comes, and no key is compared, that the table has already, written in another way.

    Raises:
        BadDataError: there is one.
    """
    order, warehouse = load.order, load.warehouse
    now = _forms(order)
    if not now:
        return
    found = warehouse.query(noted_columns(warehouse.dialect, order.manifest)).rows
    before = {name: {forms.get(name) for (text,) in found for forms in [_kept(text)]} - {None} for name in now}
    changed = {name: form for name, form in now.items() if before[name] - {form}}
    forms = {name: {str(form) for form in before[name] | {changed[name]}} for name in changed}
    for coming in (load.staged.rows, load.staged.keys) if changed else ():
        came = warehouse.query(count_same(load, coming, forms)).rows[0][0] if coming else 0
        if came:
            raise _other_forms(order, changed, {name: before[name] - {changed[name]} for name in changed}, int(came))


def _forms(order: LoadOrder) -> dict[str, str]:
    """Return how the source writes the keys by which rows of a load are found in the table."""
    appends = order.write_disposition == "append" and not order.manifest.cursor_column
    if order.starts_over or appends:
        return {}
    columns = (*order.manifest.key_columns, *order.manifest.columns)
    return {column.name: column.form for column in columns if column.form}


def _kept(columns: str | None) -> Mapping[str, str | None]:
    return {str(column["name"]): column.get("form") for column in json.loads(columns or "[]")}


def noted_columns(dialect: Dialect, manifest: Manifest) -> Statement:
    """SELECT of the columns of the commits whose rows a table may have, with how the source wrote its keys.

    Also of those whose window was loaded again since: `merge` leaves rows that have left the window.
    """
    d = dialect
    loads, mine = audit.log("loads").sql(d), audit.of_table(d, manifest.source, manifest.table)
    refreshed = f"SELECT max({d.name('turn')}) FROM {loads} WHERE {mine} AND {d.name('full_refresh')}"
    return Statement(
        f"SELECT DISTINCT {d.name('columns')} FROM {loads} WHERE {mine} AND {d.name('rows_loaded')} > 0 "
        f"AND {d.name('turn')} >= coalesce(({refreshed}), 0)",
        "how the source has written the keys so far",
    )


def count_same(load: Writing, coming: Relation, forms: Mapping[str, Collection[str]]) -> Statement:
    """SELECT of how many keys come that the table has in another one of the forms only."""
    d, target = load.warehouse.dialect, load.order.target.sql(load.warehouse.dialect)
    kinds = load.order.key_columns | load.order.landed_columns

    def plain(alias: str, key: str) -> str:
        column = f"{alias}.{d.name(key)}"
        if key not in forms:
            return column
        return _plain_bytes(d, column) if kinds[key].name == "binary" else _plain(d, column, forms[key])

    keys = load.order.primary_key
    same = " AND ".join(f"t.{d.name(key)} = s.{d.name(key)}" for key in keys)
    alike = " AND ".join(f"{plain('t', key)} = {plain('s', key)}" for key in keys)
    return Statement(
        f"SELECT count(*) FROM {coming.sql(d)} AS s WHERE NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {same}) "
        f"AND EXISTS (SELECT 1 FROM {target} AS t WHERE {alike})",
        "fail if the table has a key in another form",
    )


def _plain_bytes(d: Dialect, column: str) -> str:
    """Return bytes in hex digits, without the zeros behind them."""
    return f"regexp_replace({d.to_hex(column)}, '0+$', '')"


def _plain(d: Dialect, column: str, forms: Collection[str]) -> str:
    """Return a text without what differs between the ways to write the same key.

    Only what the forms may differ by is looked for, as the whole table is: blanks, digits in hex, zeros.
    """
    padded = any(form.startswith("char(") for form in forms)
    numbers = {form for form in forms if form.startswith(_NUMBERS)}
    bare, cases = f"rtrim({column})" if padded else column, []
    if any(form not in numbers and form != "text" and not form.startswith("char(") for form in forms):
        digits = bare
        for sign in ("-", "{", "}", "\\x"):
            digits = f"replace({digits}, {d.literal(sign)}, '')"
        cases.append(f"WHEN {d.matches(bare, d.literal(_HEX))} THEN lower({digits})")
    if numbers:
        without = f"regexp_replace({bare}, '[.]?0+$', '')"
        cases.append(f"WHEN {d.matches(bare, d.literal(_WHOLE))} THEN regexp_replace({bare}, '^0+', '')")
        cases.append(f"WHEN {d.matches(bare, d.literal(_FRACTION))} THEN regexp_replace({without}, '^0+', '')")
    return f"CASE {' '.join(cases)} ELSE {bare} END" if cases else bare


def _other_forms(
    order: LoadOrder, now: Mapping[str, str], before: Mapping[str, set[str | None]], rows: int
) -> BadDataError:
    types = "; ".join(f"{name} was {' or '.join(sorted(map(str, before[name])))}, and is {now[name]}" for name in now)
    return BadDataError(
        f"{order.label}: the type of the key has changed at the source ({types}), and {amount(rows, 'row')} came with "
        "a key that the table has in another form: they would be in the table twice; nothing was committed. Run with "
        "full refresh"
    )
