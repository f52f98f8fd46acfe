"""What of a person is in the warehouse: rows of a table with their history, rejects, and samples in the audit tables.

Each function erases within the transaction of its caller, or only counts; all of it is DML.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from elt_factory.core.sql_text import Value
from elt_factory.landing.forgotten import KeyHash, is_of
from elt_factory.warehouse import audit
from elt_factory.warehouse.audit_views import every_reject
from elt_factory.warehouse.base import Warehouse
from elt_factory.warehouse.dialect import Dialect, Relation
from elt_factory.warehouse.snapshots import texts_of_key

_MOST = 1000  # values of one IN
_WHY = "erased by elt forget"


@dataclass(frozen=True)
class Sought:
    """A person as one table knows them: conditions for its rows, hashes, and the texts that records may have."""

    source: str
    table: str
    rows: str
    keys: tuple[KeyHash, ...]
    texts: tuple[str, ...]
    who: str


@dataclass(frozen=True)
class Erasing:
    """The warehouse, whom it shall forget, and whether it only counts."""

    warehouse: Warehouse
    sought: Sought
    now: datetime
    dry_run: bool

    @property
    def _d(self) -> Dialect:
        return self.warehouse.dialect

    def everything(self, target: Relation, primary_key: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Erase all that the warehouse has of a table's person; yields what it was and how many rows."""
        if self.sought.rows:
            # what tells the keys goes first
            yield "keys that a snapshot did not see", self.unseen_keys(target, primary_key)
            yield f"table {target.schema}.{target.name}", self.rows(target, self.sought.rows)
        yield "rejects", self.rejects()
        yield "samples of failing rows", self.samples("quality_results", "failing_keys", self._fewer_keys)
        yield "shares of values", self.samples("metrics", "shares", self._fewer_shares)

    def rows(self, target: Relation, condition: str) -> int:
        """Delete the rows of a table, all their versions."""
        return self._delete(target, condition)

    def unseen_keys(self, target: Relation, primary_key: Sequence[str]) -> int:
        """Delete the keys that snapshots have noted, of rows that are still there to tell them."""
        found = {name.lower(): kind for name, kind in (self.warehouse.columns(target) or {}).items()}
        if "_valid_from" not in found or not {key.lower() for key in primary_key} <= {*found}:
            return 0
        d, keys = self._d, texts_of_key(self._d, "t", {key: found[key.lower()] for key in primary_key})
        told = " UNION ".join(f"SELECT {key} FROM {target.sql(d)} AS t WHERE {self.sought.rows}" for key in keys)
        return self._delete(audit.log("unseen_keys"), f"{self._mine()} AND {d.name('key')} IN ({told})")

    def rejects(self) -> int:
        """Delete the rejects, with their states: none of them can be replayed any more."""
        d, name = self._d, self._d.name
        kept = ("record", "key", "protected")
        listed = d.names(("load_id", "turn", "ordinal", *kept, "state"))
        seen = " OR ".join(self._holds(column) for column in kept)
        found = self.warehouse.query(
            f"SELECT {listed} FROM ({every_reject(d)}) AS e WHERE {self._mine()} AND ({seen})"
        ).rows
        gone = [row for row in found if is_of(self.sought.keys, *row[3:6])]
        if self.dry_run or not gone:
            return len(gone)
        self._close(gone)
        places: dict[tuple[Any, Any], list[Any]] = {}
        for load_id, turn, ordinal, *_ in gone:
            places.setdefault((load_id, turn), []).append(ordinal)
        for (load_id, turn), ordinals in places.items():
            of_load = f"{self._mine()} AND {name('load_id')} = {d.literal(load_id)} AND {_same(d, 'turn', turn)}"
            for numbers in _batches([one for one in ordinals if one is not None]):
                self._delete(audit.log("rejects"), f"{of_load} AND {name('ordinal')} IN ({numbers})")
        for load_id, _, ordinal, record, *_ in gone:
            if ordinal is None:  # kept by an older version
                of_load = f"{self._mine()} AND {name('load_id')} = {d.literal(load_id)} AND {name('ordinal')} IS NULL"
                self._delete(audit.log("rejects"), f"{of_load} AND {_same(d, 'record', record)}")
        return len(gone)

    def _close(self, gone: Sequence[Sequence[Any]]) -> None:
        """Say of the open ones why they can never be healed: what is not there is not asked for again."""
        states: list[Mapping[str, Value]] = [
            {
                "source": self.sought.source,
                "table_name": self.sought.table,
                "load_id": load_id,
                "turn": turn,
                "ordinal": ordinal,
                "state": "dismissed",
                "who": self.sought.who,
                "why": _WHY,
                "changed_at": self.now,
            }
            for load_id, turn, ordinal, *_, state in gone
            if state == "open" and ordinal is not None
        ]
        for first in range(0, len(states), _MOST):
            self.warehouse.execute(audit.insert_rows(self._d, "reject_states", states[first : first + _MOST]))

    def samples(self, table: str, column: str, fewer: Any) -> int:
        """Write the rows of an audit table again that name the person in a sample; how many."""
        d, log, name = self._d, audit.log(table).sql(self._d), self._d.name(column)
        about = "column_name" if table == "metrics" else "check_name"
        found = self.warehouse.query(
            f"SELECT DISTINCT {name}, {d.name(about)} FROM {log} WHERE {self._mine()} AND ({self._holds(column)})"
        ).rows
        total, names = 0, tuple(audit.log_columns(table))
        for text, what in found:
            rest = fewer(text, what)
            if rest == text:
                continue
            where = f"{self._mine()} AND {name} = {d.literal(text)} AND {_same(d, about, what)}"
            if self.dry_run:
                total += self._delete(audit.log(table), where)
                continue
            values = ", ".join(d.literal(rest) if one == column else d.name(one) for one in names)
            self.warehouse.execute(f"INSERT INTO {log} ({d.names(names)}) SELECT {values} FROM {log} WHERE {where}")
            total += self._delete(audit.log(table), where)
        return total

    def _fewer_keys(self, text: str, _: str) -> str | None:
        keys = json.loads(text)
        left = [one for one in keys if not is_of(self.sought.keys, json.dumps(one), None, None)]
        if len(left) == len(keys):
            return text
        return json.dumps(left, ensure_ascii=False) if left else None

    def _fewer_shares(self, text: str, column: str) -> str | None:
        shares = json.loads(text)
        left = {
            value: share
            for value, share in shares.items()
            if not is_of(self.sought.keys, json.dumps({column: value}), None, None)
        }
        return text if len(left) == len(shares) else json.dumps(left)

    def _holds(self, column: str) -> str:
        d = self._d
        escaped = dict.fromkeys(json.dumps(text, ensure_ascii=False)[1:-1] for text in self.sought.texts)
        return " OR ".join(f"contains({d.name(column)}, {d.literal(text)})" for text in escaped) or "FALSE"

    def _mine(self) -> str:
        return audit.of_table(self._d, self.sought.source, self.sought.table)

    def _delete(self, table: Relation, where: str) -> int:
        place = table.sql(self._d)
        if self.dry_run:
            return int(self.warehouse.query(f"SELECT count(*) FROM {place} WHERE {where}").rows[0][0])
        return self.warehouse.execute(f"DELETE FROM {place} WHERE {where}")


def _same(d: Dialect, column: str, value: Value) -> str:
    return f"{d.name(column)} IS NULL" if value is None else f"{d.name(column)} = {d.literal(value)}"


def _batches(numbers: Sequence[int]) -> Iterable[str]:
    for first in range(0, len(numbers), _MOST):
        yield ", ".join(str(int(number)) for number in numbers[first : first + _MOST])
