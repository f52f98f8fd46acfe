"""From a sample to a table of the config."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from elt_factory.config.models.deletes import says_deleted
from elt_factory.config.models.values import EARLIEST
from elt_factory.discover import keys
from elt_factory.discover.found import Beginning, ColumnFound, Guess, KeyFound, Sample, TableFound
from elt_factory.discover.sensitive import Sensitive, sensitive

_FEW = 3
_DAY = re.compile(r"\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
_DELETED = re.compile(r"_?(is_?)?(deleted|removed)(_?(at|on|date|time|flag))?", re.IGNORECASE)


@dataclass(frozen=True)
class Ground:
    """What is known of a table next to its records.

    `key` is the catalogue's primary key; `window` the column that the source's window selects by; `whole` says that
    every run reads everything; `cursors` whether the source can be read by a cursor column; `seen` what the records are
    of the whole; `deletes` whether the kind of source can follow deletes; `beginnings` are the columns that may be the
    cursor; None: all that look like one; `origin` is what the source calls the table.
    """

    name: str
    lines: Mapping[str, Guess] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    window: str | None = None
    whole: bool = False
    cursors: bool = True
    seen: str = ""
    deletes: bool = False
    beginnings: Mapping[str, Beginning] | None = None
    origin: str = ""


def table_of(sample: Sample, ground: Ground) -> TableFound:
    """All guesses about one table."""
    columns = [_column(sample, name, ground.name) for name in sample.types]
    personal = {column.name for column in columns if column.pii or column.secret}
    key, others = _key(sample, ground, {column.name for column in columns if column.secret})
    moving = [name for name in keys.cursor_candidates(sample) if name not in personal] if ground.cursors else []
    if ground.beginnings is not None:
        moving = [name for name in moving if name in ground.beginnings]
    if ground.window in moving:
        moving = [ground.window, *(name for name in moving if name != ground.window)]
    dates = [name for name in keys.date_candidates(sample) if name not in personal]
    cursor = moving[0] if moving and key else None
    return TableFound(
        name=ground.name,
        rows=sample.total,
        seen=ground.seen,
        columns=columns,
        lines=ground.lines,
        key=key,
        other_keys=others,
        cursor=Guess(cursor, _why_cursor(sample, cursor, ground)) if cursor else None,
        beginning=_beginning(sample, cursor, ground) if cursor else None,
        other_cursors=[name for name in moving if name != cursor],
        business_date=Guess(dates[0], _why_date(sample, dates[0])) if dates else None,
        other_dates=dates[1:],
        disposition=_disposition(ground, bool(key), bool(cursor)),
        deleted=_deleted(sample) if ground.deletes and cursor else None,
        origin=ground.origin,
    )


def _deleted(sample: Sample) -> str | None:
    """Return the column by which rows say that they are deleted, as its name and its type suggest."""
    named = ((name, kind) for name, kind in sample.types.items() if _DELETED.fullmatch(name))
    return next((name for name, kind in named if kind is None or says_deleted(name, kind)), None)


def first_day(sample: Sample, table: TableFound) -> str | None:
    """Return the first day that the records know of, by their cursor or business date; a date of birth is neither."""
    open_to_all = {column.name for column in table.columns if not (column.pii or column.secret)}
    names = [*keys.cursor_candidates(sample), *keys.date_candidates(sample)]
    names = [name for name in names if name in open_to_all]
    days = [_first_day(sample, name) for name in names[:1]]
    return days[0] if days and days[0] else None


def _column(sample: Sample, name: str, table: str) -> ColumnFound:
    kind = sample.types[name]
    seen = sensitive(name, sample.present(name), table, is_json=kind.name == "json") if kind else Sensitive()
    return ColumnFound(name, kind, seen.personal, seen.secret, sample.unlike.get(name, ""))


def _key(sample: Sample, ground: Ground, secret: Collection[str]) -> tuple[KeyFound | None, Sequence[tuple[str, ...]]]:
    if ground.key:
        return KeyFound(ground.key, "primary key in the database"), []
    found = keys.key_candidates(sample) if sample.keys is None else sample.keys
    # a secret is not loaded
    found = [key for key in found if not set(key).intersection(secret)]
    if not found:
        return None, []
    return KeyFound(found[0], f"unique and never empty in {sample.total:,} sampled records"), found[1 : _FEW + 1]


def _why_cursor(sample: Sample, name: str, ground: Ground) -> str:
    how = "the API filters by it" if name == ground.window else "its name suggests that it changes with every update"
    return f"{how}; {'it never decreases' if keys.grows(sample.present(name)) else 'it is not sorted'} in the sample"


def _beginning(sample: Sample, cursor: str, ground: Ground) -> Beginning:
    # a sample's least value may be any: only all of a table knows where it begins
    known = (ground.beginnings or {}).get(cursor)
    return known or Beginning(_first_day(sample, cursor), "1h")


def _why_date(sample: Sample, name: str) -> str:
    values = sorted(sample.present(name), key=lambda value: (_day(value), value))
    return "when the event happened" + (f", from {values[0]} to {values[-1]} in the sample" if values else "")


def _disposition(ground: Ground, key: bool, cursor: bool) -> Guess:
    if ground.whole and not cursor:
        return Guess("replace", "no cursor found: every run reads the whole table")
    if key:
        return Guess("merge", "has a key: records read again replace their earlier versions")
    return Guess("append", "no key found: every run appends its rows")


def _first_day(sample: Sample, name: str) -> str:
    """Return the first day of a column as a config writes it; "" where that is before all that a config can say."""
    first = min(map(_day, sample.present(name)), default="")
    return first if first >= EARLIEST.isoformat() else ""


def _day(value: str) -> str:
    """Return the day of a date or time, which may be written without zeros, in ISO 8601."""
    found = _DAY.match(value)
    return f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}" if found else value[:10]


def named_apart(tables: Sequence[TableFound], key: str = "", why: str = "") -> list[TableFound]:
    """Return the tables, each with a name of its own; `key` says what the source calls one that has another name."""
    taken: set[str] = set()
    apart = []
    for table in tables:
        name = next(n for n in (table.name, *(f"{table.name}_{i}" for i in range(2, 10_000))) if n not in taken)
        taken.add(name)
        # only now is it known whether the name is the source's
        origin = {key: Guess(json.dumps(table.origin), why)} if key and name != table.origin else {}
        apart.append(replace(table, name=name, lines=origin | dict(table.lines)))
    return apart
