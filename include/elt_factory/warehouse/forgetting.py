"""`elt forget`: a person is erased from tables, history, rejects, landings and samples, and a receipt is kept.

First one transaction for each table, with the hashes of the keys in `_elt.forgotten`: from then on a landing that was
begun before is loaded without the records (`load`), whatever becomes of this command. Then the landings. Killed at any
moment, the next one does the rest, and the receipts of both count each record once.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from elt_factory.config.errors import near_name
from elt_factory.config.models.source import Source
from elt_factory.config.models.values import ColumnType
from elt_factory.core.failures import BadRequestError, ForgottenError, LandingChangedError, LandingError
from elt_factory.core.sql_text import Value
from elt_factory.landing.attempt import is_attempt
from elt_factory.landing.forgotten import UNFIT, KeyHash, clean, is_unfinished, key_hash, landings, typed_text
from elt_factory.landing.manifest import Manifest, parse_manifest, read_manifest
from elt_factory.landing.places import Place
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import LoadReport, Warehouse
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.erasing import Erasing, Sought
from elt_factory.warehouse.order import LoadOrder
from elt_factory.warehouse.patience import retrying
from elt_factory.warehouse.turns import turn_held

REQUEST = "request"
_TEXT = ColumnType("text")
_LOADED_WITHOUT = ", or was killed today; it is loaded without these records"
_LEFT_BY_KILLED = timedelta(days=2)  # on Snowflake's stage


@dataclass(frozen=True)
class Asked:
    """Whom to forget: values of columns together, or of others alone; and where the landings of a table are."""

    config: Source
    keys: tuple[Mapping[str, str], ...]
    tables: tuple[str, ...]
    place: Callable[[str], Place]
    project: str
    who: str
    also: tuple[Relation, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Erased:
    """How many records were erased in a place."""

    table: str
    place: str
    rows: int


@dataclass(frozen=True)
class Receipt:
    """What was erased, with the hash of the first key in its place; `left` is what could not be, and why.

    `skipped` are tables without one of the keys' columns: nothing was looked for in them.
    """

    id: str
    source: str
    key_columns: tuple[str, ...]
    key_hash: str
    dry_run: bool
    erased: tuple[Erased, ...]
    left: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """All records that were erased."""
        return sum(one.rows for one in self.erased)


def forget(warehouse: Warehouse, asked: Asked) -> Receipt:
    """Erase a person from all that a source has loaded, or count what would be.

    Raises:
        BadRequestError: no table has such a column, or the value is not one of its type. Nothing is erased.
        WarehouseBusyError: loads of a table were always faster.
    """
    warehouse.prepare()
    receipt = uuid.uuid4().hex[:12]
    sought = {table: _sought(warehouse, asked, table) for table in asked.tables}
    _refuse_unknown(asked, sought)
    erased, left = list[Erased](), list[str]()
    for table, person in sought.items():
        if person.keys:
            erased += retrying(partial(_erase_rows, warehouse, asked, receipt, table, person))
    for table, person in sought.items():
        if person.keys:
            with _turn_held(warehouse, asked, table):
                erased += _clean_landings(warehouse, asked, receipt, table, person.keys, left)
    for relation in asked.also:
        erased += retrying(partial(_erase_also, warehouse, asked, receipt, relation))
    if not asked.dry_run:
        warehouse.sweep(warehouse.now() - _LEFT_BY_KILLED)
    columns = tuple(asked.keys[0])
    first = next((p.keys[0].sha256 for p in sought.values() if p.keys), "")
    found = tuple(one for one in erased if one.rows)
    skipped = tuple(table for table, person in sought.items() if not person.keys)
    return Receipt(receipt, asked.config.name, columns, first, asked.dry_run, found, tuple(left), skipped)


def load(warehouse: Warehouse, order: LoadOrder) -> tuple[LoadReport, Manifest]:
    """Load a landing; the records that were forgotten since it was begun are removed from it first.

    Raises:
        ForgottenError: another key was forgotten meanwhile. And what `Warehouse.load` raises.
    """
    try:
        return warehouse.load(order), order.manifest
    except (ForgottenError, LandingError):
        # it was cleaned while it was being read, or is to be cleaned now
        manifest = _cleaned(warehouse, order)
        if manifest == order.manifest:
            raise
        return warehouse.load(replace(order, manifest=manifest)), manifest


def _cleaned(warehouse: Warehouse, order: LoadOrder) -> Manifest:
    d, known = warehouse.dialect, order.manifest
    begun = d.literal(datetime.fromisoformat(known.started_at))
    asked = (
        f"SELECT DISTINCT {d.names(('key_columns', 'key_hash'))} FROM {audit.relation('forgotten').sql(d)} "
        f"WHERE {audit.of_table(d, known.source, known.table)} AND {d.name('forgotten_at')} >= {begun}"
    )
    keys = [KeyHash(tuple(json.loads(columns)), sha256) for columns, sha256 in warehouse.query(asked).rows]
    with _table_turn_held(warehouse, known.source, known.table):
        manifest = read_manifest(order.landing, known.owner)
        done = {one.sha256 for one in manifest.forgotten}
        left = [key for key in keys if key.sha256 not in done]
        return clean(order.landing, manifest, left).manifest if left else manifest


def _sought(warehouse: Warehouse, asked: Asked, table: str) -> Sought:
    """Return a person as a table knows them; without keys where it has none of the columns."""
    relation = Relation(asked.config.name, table)
    found = warehouse.columns(relation)
    spec = asked.config.all_tables[table]
    known: Mapping[str, ColumnType] = found or {**dict.fromkeys(spec.columns, _TEXT), **spec.types}
    tests, keys, texts = list[str](), list[KeyHash](), list[str]()
    for key in asked.keys:
        columns = _named(known, key)
        if columns is None and (found or not set(key) <= {*known, *spec.primary_key}):
            continue
        typed = {
            name: _value(asked, table, name, _protected(asked, table, name, value), (columns or {}).get(name, _TEXT))
            for name, value in key.items()
        }
        tests.append(_condition(warehouse, columns or {}, typed))
        keys.append(KeyHash(tuple(typed), key_hash(tuple(typed), tuple(typed.values()))))
        texts += typed.values()
    rows = " OR ".join(f"({test})" for test in tests) if found else ""
    return Sought(asked.config.name, table, rows, tuple(keys), tuple(texts), asked.who)


def _condition(warehouse: Warehouse, columns: Mapping[str, ColumnType], typed: Mapping[str, str]) -> str:
    d = warehouse.dialect
    return " AND ".join(
        f"{d.name(name)} = CAST({d.literal(value)} AS {d.type(columns.get(name, _TEXT))})"
        for name, value in typed.items()
    )


def _named(known: Mapping[str, ColumnType], key: Mapping[str, str]) -> dict[str, ColumnType] | None:
    """Return the types of a key's columns; None where the table lacks one."""
    folded = {name.casefold(): kind for name, kind in known.items()}
    if any(name.casefold() not in folded for name in key):
        return None
    return {name: folded[name.casefold()] for name in key}


def _protected(asked: Asked, table: str, column: str, value: str) -> str:
    """Return a value as the contract leaves it: of a personal one its hash."""
    spec = asked.config.all_tables[table].columns.get(column)
    return hashlib.sha256(value.encode()).hexdigest() if spec and spec.pii == "hash" else value


def _value(asked: Asked, table: str, column: str, value: str, kind: ColumnType) -> str:
    where = f"{asked.config.name}.{table}: {column}"
    if kind.name in UNFIT:
        raise BadRequestError(f"{where} has the type {kind}, which cannot be compared; name another column")
    text = typed_text(value, kind)
    if text is None:
        raise BadRequestError(f"{where} has the type {kind}, and the value given is not one")
    return text


def _refuse_unknown(asked: Asked, sought: Mapping[str, Sought]) -> None:
    """Refuse a column that no table has: what is not there is not erased, and must not look as if it were."""
    for key in asked.keys:
        columns = tuple(key)
        if not any(one.columns == columns for person in sought.values() for one in person.keys):
            specs = (asked.config.all_tables[table] for table in asked.tables)
            known: Collection[str] = {name for spec in specs for name in (*spec.columns, *spec.primary_key)}
            hint = next(filter(None, (near_name(name, known) for name in columns if name not in known)), "")
            of = asked.tables[0] if len(asked.tables) == 1 else "its tables"
            raise BadRequestError(
                f"{asked.config.name}: none of {of} has the columns {', '.join(columns)}{f'; {hint}' if hint else ''}"
            )


def _erase_rows(warehouse: Warehouse, asked: Asked, receipt: str, table: str, person: Sought) -> list[Erased]:
    """Erase what the warehouse has, and say so, in one transaction at the table's turn."""
    relation, d = Relation(asked.config.name, table), warehouse.dialect
    primary_key = asked.config.all_tables[table].primary_key

    def erased() -> list[Erased]:
        work = Erasing(warehouse, person, warehouse.now(), asked.dry_run)
        return [Erased(table, place, rows) for place, rows in work.everything(relation, primary_key)]

    if asked.dry_run:
        return erased()
    warehouse.execute(audit.create_turn(d, asked.config.name, table))
    # after whatever was begun, by a worker whose clock is ahead, too: what that has read may have the person
    noted = partial(_row, asked, receipt, table, warehouse.moment_begun(asked.config.name, table))
    with warehouse.transaction():
        warehouse.execute(audit.take_turn(d, asked.config.name, table, f"forget {receipt}"))
        found = erased()
        rows = [noted(key, REQUEST, None) for key in person.keys]
        rows += [noted(person.keys[0], one.place, one.rows) for one in found if one.rows]
        warehouse.execute(audit.insert_rows(d, "forgotten", rows))
    return found


def _erase_also(warehouse: Warehouse, asked: Asked, receipt: str, relation: Relation) -> list[Erased]:
    """Erase from a table that others make of what was loaded, such as a snapshot of dbt."""
    label, known = f"{relation.schema}.{relation.name}", warehouse.columns(relation)
    keys = [(key, columns) for key in asked.keys if known and (columns := _named(known, key))]
    if not keys:
        what = "has none of the columns" if known else "is not in the warehouse"
        raise BadRequestError(f"the table {label} {what}")
    typed = [
        ({name: _value(asked, asked.tables[0], name, value, columns[name]) for name, value in key.items()}, columns)
        for key, columns in keys
    ]
    condition = " OR ".join(f"({_condition(warehouse, columns, values)})" for values, columns in typed)
    first = KeyHash(tuple(typed[0][0]), key_hash(tuple(typed[0][0]), tuple(typed[0][0].values())))
    work = Erasing(warehouse, Sought("", "", condition, (), (), asked.who), warehouse.now(), asked.dry_run)
    if asked.dry_run:
        return [Erased("", f"table {label}", work.rows(relation, condition))]
    with warehouse.transaction():
        count = work.rows(relation, condition)
        row = _row(asked, receipt, "", warehouse.now(), first, f"table {label}", count)
        warehouse.execute(audit.insert_rows(warehouse.dialect, "forgotten", [row]))
    return [Erased("", f"table {label}", count)]


def _clean_landings(
    warehouse: Warehouse, asked: Asked, receipt: str, table: str, keys: Sequence[KeyHash], left: list[str]
) -> Iterator[Erased]:
    place, told = asked.place(table), _told(warehouse, asked, table, keys[0])
    for load, attempt, complete, names in landings(place):
        label = f"landing {load}/{attempt}"
        if not is_attempt(attempt):
            continue
        if not complete:
            left += _unfinished(place.below(load, attempt), label, names, dry_run=asked.dry_run)
            continue
        try:
            manifest = parse_manifest(place.below(load, attempt))
            if manifest.project != asked.project:
                left.append(f"{label}: it belongs to the project {manifest.project}")
                continue
            cleaned = clean(place.below(load), manifest, keys, dry_run=asked.dry_run)
        except (LandingError, LandingChangedError) as error:
            left.append(f"{label}: {error}")
            continue
        if cleaned.unfinished:
            left.append(f"{label}: an extract is reading a part of it again{_LOADED_WITHOUT}")
        # what a killed try removed is in the manifest, and in no receipt yet
        gone = sum(one.rows for one in cleaned.manifest.forgotten if one.sha256 == keys[0].sha256)
        rows = cleaned.rows if asked.dry_run else gone - told.get(label, 0)
        if rows and not asked.dry_run:
            row = _row(asked, receipt, table, warehouse.now(), keys[0], label, rows)
            warehouse.record("forgotten", [row])
        yield Erased(table, label, rows)


def _told(warehouse: Warehouse, asked: Asked, table: str, key: KeyHash) -> dict[str, int]:
    """Return how many records of each landing are in receipts already."""
    d, name = warehouse.dialect, warehouse.dialect.name
    found = warehouse.query(
        f"SELECT {name('place')}, sum({name('rows_erased')}) FROM {audit.relation('forgotten').sql(d)} "
        f"WHERE {audit.of_table(d, asked.config.name, table)} AND {name('key_hash')} = {d.literal(key.sha256)} "
        f"AND {name('rows_erased')} IS NOT NULL GROUP BY {name('place')}"
    ).rows
    return {str(place): int(rows) for place, rows in found}


def _unfinished(place: Place, label: str, names: Sequence[str], *, dry_run: bool) -> list[str]:
    """Remove what a killed extract left; what may be written at this moment is loaded without the person."""
    entries = place.files()
    moments = [entries[name].modified for name in names if name in entries]
    if is_unfinished(moments):
        return [f"{label}: an extract is writing it{_LOADED_WITHOUT}"]
    if not dry_run:
        place.remove(list(names))
    return []


@contextmanager
def _turn_held(warehouse: Warehouse, asked: Asked, table: str) -> Iterator[None]:
    if asked.dry_run:
        yield
        return
    with _table_turn_held(warehouse, asked.config.name, table):
        yield


def _table_turn_held(warehouse: Warehouse, source: str, table: str) -> AbstractContextManager[None]:
    """Keep others from writing the same landings, and every load of the table waiting."""
    return turn_held(warehouse, source, table, f"forget {uuid.uuid4().hex}")


def _row(
    asked: Asked, receipt: str, table: str, moment: datetime, key: KeyHash, place: str, rows: int | None
) -> dict[str, Value]:
    return {
        "receipt": receipt,
        "source": asked.config.name,
        "table_name": table,
        "key_columns": json.dumps(key.columns),
        "key_hash": key.sha256,
        "place": place,
        "rows_erased": rows,
        "who": asked.who,
        "forgotten_at": moment,
    }
