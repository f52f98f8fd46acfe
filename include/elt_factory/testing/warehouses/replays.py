"""Rejects come back: a later load heals them, a replay loads what is good now, a person dismisses them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from elt_factory.config.models.source import Source
from elt_factory.core.window import Window
from elt_factory.landing.places import LocalPlace
from elt_factory.testing.loads import source_of
from elt_factory.testing.warehouses.loader import MERGE, PROJECT, Loader, OnWarehouse, day
from elt_factory.warehouse import audit, state
from elt_factory.warehouse.rejects import dismiss, rejected_loads
from elt_factory.warehouse.replay import Replayed, Replaying, replay
from elt_factory.warehouse.statement import Statement

NARROW = {"columns": {"v": {"type": "integer"}}}
WIDE = {"columns": {"v": {"type": "decimal(22,2)"}}}
BY_CURSOR = MERGE | {"incremental": {"cursor": "u"}}


def config_of(loader: Loader, folder: Path) -> Source:
    """Return the config of the loader's table as its YAML would be now."""
    table = {"table": "t", **loader.spec}
    return source_of(
        {
            "name": loader.source,
            "schedule": "@daily",
            "start_date": "2013-01-01",
            "extract": {"type": "sql", "connection": "db"},
            "tables": {loader.name: table},
        },
        folder,
    )


def replayed(loader: Loader, load_id: str | None = None) -> list[Replayed]:
    """Replay the open rejects of the loader's table."""
    place = LocalPlace(loader.base).below(loader.source, loader.name)
    asked = Replaying(config_of(loader, loader.base), loader.name, place, PROJECT, "replay", print)
    return replay(loader.warehouse, asked, load_id)


def states(loader: Loader) -> list[tuple[str, int]]:
    """Return how many rejects of the newest tries are in which state."""
    found: dict[str, int] = {}
    for load in rejected_loads(loader.warehouse, loader.source, healed=True):
        found[load.state] = found.get(load.state, 0) + load.rows
    return sorted(found.items())


def row(number: int, value: Any, hour: int = 0) -> dict[str, Any]:
    """Return a record of a table with a cursor."""
    return {"id": number, "v": value, "u": (day(1).start + timedelta(hours=hour)).isoformat()}


class ReplaySuite(OnWarehouse):
    """Rejects come back: a later load heals them, a replay loads what is good now, a person dismisses them."""

    @pytest.mark.parametrize(
        "spec",
        [
            {"write_disposition": "append"},
            {"write_disposition": "append", "primary_key": ["id"], "incremental": {"cursor": "id"}},
            MERGE,
            BY_CURSOR,
            {"write_disposition": "replace", "primary_key": ["id"]},
            {"write_disposition": "scd2", "primary_key": ["id"], "incremental": {"cursor": "u"}},
        ],
        ids=["append", "append by key", "merge", "merge by cursor", "replace", "scd2"],
    )
    def test_a_wider_type_lets_a_replay_load_what_was_rejected_and_only_once(
        self, loader: Loader, spec: Mapping[str, Any]
    ) -> None:
        records = [row(1, 1), row(2, "2.50"), row(3, 3), row(4, "bad")]
        loader.spec = {**spec, **NARROW}
        loader.load(records)
        assert states(loader) == [("open", 2)]
        [same] = replayed(loader)
        assert (same.healed, same.open) == (0, 2)
        assert "2.50" in same.reason or "bad" in same.reason
        loads = loader.audit("loads", "load_id", "rows_loaded")
        loader.spec = {**spec, **WIDE}
        [found] = replayed(loader)
        assert (found.healed, found.loaded, found.open) == (1, 1, 1)
        assert 'v is not a valid decimal(22,2): "bad"' in found.reason
        rows = loader.rows("id", "v")
        assert [(int(number), float(value)) for number, value in rows] == [(1, 1.0), (2, 2.5), (3, 3.0)]
        assert states(loader) == [("healed", 1), ("open", 1)]
        # again: the one that is left is as bad as before, and nothing changes
        before = loader.audit("loads", "load_id", "rows_loaded")
        assert set(loads) < set(before)
        [again] = replayed(loader)
        assert (again.healed, again.loaded, again.open) == (0, 0, 1)
        assert loader.rows("id", "v") == rows
        assert loader.audit("loads", "load_id", "rows_loaded") == before
        # the window itself, run again, has the same rows
        loader.load([*records[:3], row(4, 4)])
        assert len(loader.rows("id")) == 4
        assert dict(states(loader)).get("open", 0) == 0

    def test_the_account_of_a_replay_is_exact_and_is_not_that_of_a_window(self, loader: Loader) -> None:
        loader.spec = {**MERGE, **NARROW, "rejects": {"max": "90%"}}
        loader.load([row(1, 1), row(2, "2.50"), row(3, "x"), row(2, "3.50")])
        loader.spec = {**MERGE, **WIDE}
        replayed(loader)
        parts = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate")
        accounts = loader.audit("loads", *parts)
        assert sorted(accounts) == [(3, 1, 1, 1), (4, 1, 3, 0)]
        wide = Window(day(1).start, day(9).end)
        assert len(state.committed_loads(loader.warehouse, loader.source, loader.name, wide)) == 1
        [entry] = state.status(loader.warehouse)
        assert (entry.rows_read, entry.rejected_rows, entry.total_rows) == (4, 3, 2)

    def test_a_newer_row_of_the_key_is_never_overwritten_by_an_older_reject(self, loader: Loader) -> None:
        loader.spec = {**BY_CURSOR, **NARROW}
        loader.load([row(1, 1), row(2, "2.5", 5), row(3, "3.5", 5)])
        # by the cursor it is older, and says nothing of what was rejected
        loader.load([row(2, 7, 1), row(3, 9, 8)], day(2))
        assert states(loader) == [("healed", 1), ("open", 1)]
        loader.spec = {**BY_CURSOR, **WIDE}
        [found] = replayed(loader)
        assert (found.healed, found.loaded, found.open) == (1, 1, 0)
        assert [(n, float(v)) for n, v in loader.rows("id", "v")] == [(1, 1.0), (2, 2.5), (3, 9.0)]

    def test_bytes_of_a_cursor_say_which_row_of_a_reject_is_newer(self, loader: Loader) -> None:
        columns = {**NARROW["columns"], "u": {"type": "binary"}}
        loader.spec = {**BY_CURSOR, **NARROW, "columns": columns}
        loader.load(
            [{"id": 3, "v": 1, "u": "00"}, {"id": 1, "v": "bad", "u": "00c3"}, {"id": 2, "v": "bad", "u": "00c3"}]
        )
        loader.load([{"id": 1, "v": 2, "u": "00c2"}, {"id": 2, "v": 2, "u": "00c4"}], day(2))
        assert states(loader) == [("healed", 1), ("open", 1)]

    def test_without_a_cursor_what_was_loaded_later_is_newer(self, loader: Loader) -> None:
        loader.spec = {**MERGE, **NARROW}
        loader.load([row(1, 1), row(2, 2)])
        loader.load([row(1, "1.5"), row(2, "2.5"), row(3, 3)], day(2))
        loader.load([row(2, 9)], day(3))
        assert states(loader) == [("healed", 1), ("open", 1)]
        loader.spec = {**MERGE, **WIDE}
        [found] = replayed(loader)
        assert (found.healed, found.open) == (1, 0)
        assert [(n, float(v)) for n, v in loader.rows("id", "v")] == [(1, 1.5), (2, 9.0), (3, 3.0)]

    def test_personal_data_is_replayed_as_hashes_and_kept_as_nothing_else(self, loader: Loader) -> None:
        columns = {"mail": {"type": "text", "pii": "hash"}, "ssn": {"pii": "drop"}, "n": {"type": "integer"}}
        loader.spec = {**MERGE, "columns": columns}
        bad = {"id": 2, "mail": "b@x.org", "ssn": "123", "n": "1.5"}
        loader.load([{"id": 1, "mail": "a@x.org", "ssn": "1", "n": 1}, bad])
        kept = json.dumps(loader.audit("rejects", "record", "protected", "key"))
        assert "b@x.org" not in kept
        assert "123" not in kept.replace(sha256(b"b@x.org").hexdigest(), "")
        loader.spec = {**MERGE, "columns": {**columns, "n": {"type": "decimal(22,2)"}}}
        [found] = replayed(loader)
        assert (found.healed, found.open) == (1, 0)
        hashes = [(n, sha256(mail.encode()).hexdigest()) for n, mail in ((1, "a@x.org"), (2, "b@x.org"))]
        assert loader.rows("id", "mail") == hashes

    def test_a_value_that_was_not_kept_is_not_replayed_as_nothing(self, loader: Loader) -> None:
        loader.spec = {**MERGE, "columns": {"ssn": {"pii": "drop"}, "n": {"type": "integer"}}}
        loader.load([{"id": 1, "ssn": "1", "n": 1}, {"id": 2, "ssn": "2", "n": "1.5"}])
        loader.spec = {**MERGE, "columns": {"ssn": {"type": "text"}, "n": {"type": "decimal(22,2)"}}}
        [found] = replayed(loader)
        assert (found.healed, found.open) == (0, 1)
        assert found.reason.startswith("ssn was kept hashed or not at all, and the YAML now says otherwise; run the ")

    def test_lines_failed_loads_and_snapshots_say_what_to_do_instead(self, loader: Loader) -> None:
        loader.spec = {**MERGE, **NARROW, "rejects": {"max": "0%", "or": 1}}
        loader.load([row(1, 1), "{"])
        with pytest.raises(Exception, match="rejects: allows"):
            loader.load([row(2, 1), row(3, "3.5"), row(4, "x")], day(2))
        loader.spec = {**MERGE, **WIDE}
        line, failed = replayed(loader)
        again = "run the window again: elt run src --table tab --start 2013-01-0"
        assert (line.open, line.healed) == (1, 0)
        assert line.reason.startswith("they are lines or parts of records")
        assert failed.open == 2
        assert failed.reason.startswith("the load failed for its rejects, and its 1 good rows are not loaded either; ")
        assert all(again in one.reason for one in (line, failed))

    def test_a_snapshot_is_healed_by_the_next_one_and_not_replayed(self, loader: Loader) -> None:
        loader.spec = {"write_disposition": "scd2", "primary_key": ["id"], **NARROW}
        loader.load([row(1, 1), row(2, "2.5")])
        [found] = replayed(loader)
        assert found.reason.startswith("a snapshot says what the whole table had")
        loader.load([row(1, 1), row(2, 2)], day(2))
        assert states(loader) == [("healed", 1)]

    def test_append_is_not_replayed_where_a_later_load_has_read_the_same_window(self, loader: Loader) -> None:
        loader.spec = dict(NARROW)
        loader.load([row(1, 1), row(2, "2.5")], day(1))
        loader.load([row(3, 3)], Window(day(1).start, day(2).end))
        loader.spec = dict(WIDE)
        [found] = replayed(loader)
        assert found.open == 1
        assert "has read a part of the window as well" in found.reason

    def test_a_person_dismisses_rejects_and_the_next_load_of_their_window_rejects_them_again(
        self, loader: Loader
    ) -> None:
        loader.spec = {**MERGE, **NARROW}
        for _ in range(2):
            loader.load([row(1, 1), row(2, "x")])
            assert states(loader) == [("open", 1)]
            closed = dismiss(loader.warehouse, loader.source, loader.name, None, who="ann", why="a test record")
            assert closed == 1
            assert dismiss(loader.warehouse, loader.source, loader.name, None, who="bob", why="again") == 0
            [load] = rejected_loads(loader.warehouse, healed=True)
            assert (load.state, load.by) == ("dismissed", "ann")
            assert rejected_loads(loader.warehouse) == []
        assert [row[:2] for row in loader.audit("reject_states", "who", "why")] == [("ann", "a test record")] * 2
        loader.load([row(2, 2)], day(2))
        assert states(loader) == [("dismissed", 1)]

    def test_the_reason_is_that_of_the_person_who_is_named(self, loader: Loader) -> None:
        loader.spec = {**MERGE, **NARROW}
        loader.load([row(1, "x"), row(2, "y"), row(3, 3)])
        dismiss(loader.warehouse, loader.source, loader.name, None, who="ann", why="a test record")
        d, said = loader.warehouse.dialect, audit.relation("reject_states")
        first, _ = sorted(loader.audit("reject_states", "ordinal"))
        another = f"SET {d.name('who')} = 'bob', {d.name('why')} = NULL WHERE {d.name('ordinal')} = {first[0]}"
        loader.warehouse.execute(Statement(f"UPDATE {said.sql(d)} {another}", "another person gave no reason"))
        [load] = rejected_loads(loader.warehouse, healed=True)
        assert (load.by, load.why) == ("bob", "")

    def test_what_retention_removed_is_named(self, loader: Loader) -> None:
        loader.spec = {**MERGE, **NARROW}
        loader.load([row(1, 1), row(2, "x")])
        dialect = loader.warehouse.dialect
        later = loader.warehouse.now() + timedelta(days=1)
        loader.warehouse.execute(audit.delete_rejects_before(dialect, loader.source, loader.name, later))
        [found] = replayed(loader)
        assert found.reason.startswith("1 reject was removed by retention.rejects; run the window again: elt run src")
