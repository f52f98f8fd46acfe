"""Which columns tell rows apart, grow with every change, or say when it happened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations, pairwise

from elt_factory.discover.found import Sample

_ID = re.compile(r"(^|_)(id|uuid|guid|key|code|number|num|no)$|(?<=[a-z])(Id|ID|Key)$", re.IGNORECASE)
_CHANGED = re.compile(r"(updated|modified|changed|last_?mod|last_?update|mtime|synced)", re.IGNORECASE)
_CREATED = re.compile(r"(created|inserted|ingested|loaded|published)", re.IGNORECASE)
_MEASURE = re.compile(
    r"(^|_|(?<=[a-z]))(revenue|amount|price|total|sum|cost|quantity|qty|count|value|score|rate|percent|pct|balance|sales|"
    r"profit|discount|tax|fee|weight|height|width|length|distance|temp(erature)?|avg|average)s?($|_|(?=[A-Z]))",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"[^\w\s]{0,2}\s*\d{1,3}([.,\s]?\d{3})*([.,]\d+)?\s*[%€$£]?")
_TEMPORAL = ("date", "datetime", "timestamp")
_KEY_TYPES = ("text", "integer", "date", "datetime", "timestamp")
_MOST_COLUMNS_OF_PAIRS = 12
_LONGEST_KEY = 64
_FEWEST_ROWS_OF_PAIRS = 10


def key_candidates(sample: Sample) -> list[tuple[str, ...]]:
    """Return the keys that the records allow, the likeliest first: single columns, else pairs."""
    columns = [name for name in sample.types if _may_be_key(sample, name)]
    single: list[tuple[str, ...]] = [(name,) for name in columns if _unique(sample, (name,))]
    if single:
        # a time or a plain text may be unique by chance
        ranked = sorted(single, key=lambda key: _rank(sample, key[0]))
        sure = [key for key in ranked if _rank(sample, key[0]) <= 1 or _first(sample, key[0])]
        if sure:
            return sure
    return _pairs(sample, columns)


def cursor_candidates(sample: Sample) -> list[str]:
    """Columns of time whose names say that they move with every change, those that never fall first."""
    times = [name for name in temporal(sample) if _CHANGED.search(name) and None not in sample.values(name)]
    return sorted(times, key=lambda name: not grows(sample.present(name)))


def date_candidates(sample: Sample) -> list[str]:
    """Columns that say when it happened: times that are not bookkeeping first."""
    times = temporal(sample)
    return sorted(times, key=lambda n: (bool(_CHANGED.search(n)) * 2 + bool(_CREATED.search(n)), _gaps(sample, n)))


def temporal(sample: Sample) -> list[str]:
    """Return the columns of time."""
    return [name for name, kind in sample.types.items() if kind and kind.name in _TEMPORAL]


def grows(values: Sequence[str]) -> bool:
    """Whether values never fall."""
    return all(low <= high for low, high in pairwise(values))


def is_id(name: str) -> bool:
    """Whether a name is one of an identifier."""
    return bool(_ID.search(name))


def _may_be_key(sample: Sample, name: str) -> bool:
    kind, values = sample.types[name], sample.values(name)
    if kind is None or kind.name not in _KEY_TYPES or not values or _is_measure(sample, name):
        return False
    return all(value is not None and value != "" and len(value) <= _LONGEST_KEY for value in values)


def _is_measure(sample: Sample, name: str) -> bool:
    """Whether a column says how much, so that it tells rows apart by chance alone."""
    kind = sample.types[name]
    if is_id(name) or (kind and kind.name in _TEMPORAL):
        return False
    amounts = kind is not None and kind.name == "text" and all(map(_AMOUNT.fullmatch, sample.present(name)))
    return bool(_MEASURE.search(name)) or amounts


def _unique(sample: Sample, names: tuple[str, ...]) -> bool:
    columns = [sample.values(name) for name in names]
    return len(set(zip(*columns, strict=True))) == len(sample.rows)


def _rank(sample: Sample, name: str) -> int:
    if is_id(name):
        return 0
    kind = sample.types[name]
    if kind and kind.name in _TEMPORAL:
        return 3
    return 2 if name != _lead(sample) else 1


def _first(sample: Sample, name: str) -> bool:
    return name == _lead(sample)


def _lead(sample: Sample) -> str:
    return next(iter(sample.types), "")


def _pairs(sample: Sample, columns: Sequence[str]) -> list[tuple[str, ...]]:
    if len(sample.rows) < _FEWEST_ROWS_OF_PAIRS:
        return []
    # numbers that are measured pair up by chance; names, ids and times do not
    useful = [name for name in columns if is_id(name) or _is_named_or_time(sample, name)][:_MOST_COLUMNS_OF_PAIRS]
    found = [pair for pair in combinations(useful, 2) if _unique(sample, pair)]
    return sorted(found, key=lambda pair: sum(_rank(sample, name) == 2 for name in pair))  # noqa: PLR2004


def _is_named_or_time(sample: Sample, name: str) -> bool:
    kind = sample.types[name]
    return kind is not None and kind.name != "integer"


def _gaps(sample: Sample, name: str) -> int:
    return len(sample.rows) - len(sample.present(name))
